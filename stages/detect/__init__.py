"""The detect stage: the faces of each frame, who is followed, and the crops worth asking about."""
