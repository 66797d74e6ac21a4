"""The screen: layout, pictures, video, sound, notice, windows and screenshots."""
