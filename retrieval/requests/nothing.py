"""Texts that ask for no picture: greetings, questions, tasks of a chat model, exact figures, nonsense.

asks_for_nothing("write a poem about love")        # what to say instead of a model
asks_for_nothing("a poet writing about love")      # None
"""

import re

NO_PICTURE = (
    "this asks for no picture, so no model is proposed; say what the picture should show, such as "
    '"a red fox in the snow, watercolor"'
)
ONLY_REFUSED = "this says only what the picture must not show; say what it should show"
NO_FIGURES = (
    "no image model draws exact figures, charts or codes, so none is proposed; make those with a chart "
    "program, and ask here for a picture"
)
_I = re.IGNORECASE

_PICTURE = re.compile(
    r"\b(?:draw|drawn|drawing|paint|painted|painting|picture|image|photo|photograph|illustrat\w*|render\w*|"
    r"sketch|poster|logo|icon|sticker|wallpaper|portrait|artwork|art|model|lora|checkpoint|design|style|"
    r"look like|looks like|comic|cartoon|anime|cover|banner|background|scene)\b",
    _I,
)
_GREETINGS = """
    hello|hi|hey|hiya|howdy|yo|greetings|good (?:morning|afternoon|evening|day|night)|thanks|thank you|bye|
    goodbye|hola|buenos dias|buenos días|buenas|bonjour|salut|bonsoir|hallo|guten (?:tag|morgen|abend)|servus|
    moin|ciao|buongiorno|olá|ola|oi|bom dia|hej|hei|god dag|goddag|ahoj|cześć|czesc|dzień dobry|привет|
    здравствуйте|добрый день|привіт|здраво|zdravo|bok|merhaba|selam|salam|salaam|مرحبا|السلام عليكم|שלום|
    shalom|नमस्ते|namaste|হ্যালো|வணக்கம்|నమస్కారం|ਸਤ ਸ੍ਰੀ ਅਕਾਲ|سلام|你好|您好|早上好|大家好|
    こんにちは|こんばんは|おはよう|    おはようございます|
    안녕|안녕하세요|สวัสดี|xin chào|xin chao|halo|selamat pagi|kumusta|jambo|habari|sawubona|hujambo|
    γεια|γειά σου|γεια σας|καλημέρα|szia|helló|jó napot|salutare|bună|buna ziua|здравей|tere|labas|sveiki|moi|
    terve|halló|dia duit|kaixo|barev|გამარჯობა|сайн байна уу|сәлем|salom|aloha|kia ora|test|testing
"""
_GREETING = re.compile(
    rf"(?:(?:{''.join(_GREETINGS.split(chr(10))).replace('    ', '')})"
    r"(?:[\s,]+(?:there|all|everyone|friend|you|diffagent|how are you(?: doing)?(?: today)?))*[\s,.!?…]*)+",
    _I,
)
_QUESTION = re.compile(
    r"(?:what|who|whom|whose|when|where|why|how|which|is|are|was|were|does|do|did|should|has|have)\b"
    r"(?:'s|'re)?\s.+",
    _I,
)
_ABOUT_IT = re.compile(r"\b(?:do|does|did|is|are) (?:you|it|this|diffagent)\b|\b(?:who|what) are you\b", _I)
_TASK = re.compile(
    r"(?:please |kindly |can you |could you |would you |will you |i (?:need|want) you to |help me (?:to )?|"
    r"i'd like you to )*"
    r"(?:translate|summari[sz]e|summary of|write(?! on)|rewrite|paraphrase|proofread|explain|calculate|"
    r"compute|"
    r"solve|define|spell|tell me|give me (?:a )?(?:recipe|list|advice|tips|summary)|answer|book (?:a|"
    r"me)|order|"
    r"call|email|text|send|play|remind|set (?:a|an) (?:timer|alarm|reminder)|convert|debug|compile|refactor|"
    r"fix (?:my|this|the) (?:code|bug|essay)|search (?:for|the)|google|look up|schedule|compose (?:a|an) "
    r"(?:email|letter|poem|song)|count|sort|cook|sing|recommend (?:a|me))\b",
    _I,
)
_FIGURES = re.compile(
    r"\b(?:exact (?:numbers|figures|text|values|data)|(?:bar|pie|line|gantt|org|flow) ?charts?|spreadsheet|"
    r"qr[ -]?codes?|barcodes?|flow ?chart|scatter plot|histogram|excel table)\b",
    _I,
)
_FILLER = re.compile(r"\blorem ipsum\b|\bdolor sit amet\b", _I)
_MASHED = re.compile(r"[^aeiouyàâäáãåæéèêëíìîïóòôöõøúùûü\W\d_]{5,}", _I)


def asks_for_nothing(said: str) -> str | None:
    """Why no model is proposed for a text, in words for its writer; None where it asks for a picture."""
    if _FIGURES.search(said):
        return NO_FIGURES
    if _GREETING.fullmatch(said) or _FILLER.search(said):
        return NO_PICTURE
    if _TASK.match(said) and not _PICTURE.search(said):
        return NO_PICTURE
    asked = _QUESTION.fullmatch(said) and (said.endswith("?") or re.match(r"wh|how", said, _I))
    if asked and (not _PICTURE.search(said) or _ABOUT_IT.search(said)):
        return NO_PICTURE
    words = re.findall(r"[^\W\d_]+", said)
    latin = [word for word in words if word.isascii() and len(word) > 3]
    if latin and len(latin) == len(words) and all(_MASHED.search(word) for word in latin):
        return NO_PICTURE
    return None
