"""The languages that Whisper names, by their ISO 639-1 code."""

_CODES = """
afrikaans af, albanian sq, amharic am, arabic ar, armenian hy, assamese as, azerbaijani az, bashkir ba, basque eu,
belarusian be, bengali bn, bosnian bs, breton br, bulgarian bg, burmese my, cantonese zh, castilian es, catalan ca,
chinese zh, croatian hr, czech cs, danish da, dutch nl, english en, estonian et, faroese fo, finnish fi, flemish nl,
french fr, galician gl, georgian ka, german de, greek el, gujarati gu, haitian ht, haitian creole ht, hausa ha,
hebrew he, hindi hi, hungarian hu, icelandic is, indonesian id, italian it, japanese ja, javanese jv, kannada kn,
kazakh kk, khmer km, korean ko, lao lo, latin la, latvian lv, letzeburgesch lb, lingala ln, lithuanian lt,
luxembourgish lb, macedonian mk, malagasy mg, malay ms, malayalam ml, maltese mt, mandarin zh, maori mi, marathi mr,
moldavian ro, moldovan ro, mongolian mn, myanmar my, nepali ne, norwegian no, nynorsk nn, occitan oc, panjabi pa,
pashto ps, persian fa, polish pl, portuguese pt, punjabi pa, pushto ps, romanian ro, russian ru, sanskrit sa,
serbian sr, shona sn, sindhi sd, sinhala si, sinhalese si, slovak sk, slovenian sl, somali so, spanish es,
sundanese su, swahili sw, swedish sv, tagalog tl, tajik tg, tamil ta, tatar tt, telugu te, thai th, tibetan bo,
turkish tr, turkmen tk, ukrainian uk, urdu ur, uzbek uz, valencian ca, vietnamese vi, welsh cy, yiddish yi, yoruba yo
"""
_BY_NAME = dict(entry.strip().rsplit(" ", 1) for entry in _CODES.replace("\n", " ").split(","))


# Where several names have one code: those that Whisper does not give.
_OTHER_NAMES = "burmese cantonese castilian flemish haitian letzeburgesch mandarin moldavian moldovan panjabi pushto sinhalese valencian"
_BY_CODE = {code: name for name, code in _BY_NAME.items() if name not in _OTHER_NAMES.split()}


def language_name(code: str | None) -> str | None:
    """The English name, in small letters, that Whisper gives the language of this code; what is unknown stays as it is."""
    return None if code is None else _BY_CODE.get(code, code)


def language_code(language: str | None) -> str | None:
    """The code of a language named in English, or of a code; None for what ISO 639-1 has no code for."""
    if language is None:
        return None
    name = language.strip().lower()
    return name if name in _BY_NAME.values() else _BY_NAME.get(name)
