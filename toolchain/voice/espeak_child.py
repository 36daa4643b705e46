"""Run by path in a process of its own: prints the phonemes of standard input by libespeak-ng.

Arguments: the library, the folder with its data, a voice. Needs nothing but Python itself.
"""

import ctypes
import sys

_SILENT, _UTF8, _IPA = 2, 1, 2  # AUDIO_OUTPUT_SYNCHRONOUS, espeakCHARS_UTF8, IPA: speak_lib.h
_NO_VOICE = 1  # exit code


def main(library: str, data: str, voice: str) -> int:
    """Print a line for each clause of the text."""
    espeak = ctypes.CDLL(library)
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if espeak.espeak_Initialize(_SILENT, 0, data.encode(), 0) < 0:
        sys.stderr.write("its data cannot be read\n")
        return _NO_VOICE
    if espeak.espeak_SetVoiceByName(voice.encode()):
        sys.stderr.write("the specified espeak-ng voice does not exist\n")
        return _NO_VOICE
    text = ctypes.c_char_p(sys.stdin.buffer.read())
    while text.value:
        found = espeak.espeak_TextToPhonemes(ctypes.byref(text), _UTF8, _IPA)
        sys.stdout.buffer.write((found or b"") + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
