"""The screen: layout, pictures, video, sound, notice, windows, screenshots, and the painter of it all."""
