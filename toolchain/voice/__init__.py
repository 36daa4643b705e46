"""The stages of a voice application: VAD, STT, LLM and TTS on real models."""
