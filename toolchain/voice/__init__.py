"""The stages VAD, STT, LLM and TTS: chunks in, chunks out, one file per model family."""
