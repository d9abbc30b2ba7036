"""Texts that ask for no picture: greetings, questions, tasks of a chat model, exact figures, nonsense.

asks_for_nothing("write a poem about autumn")        # what to say instead of a model
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
    r"(?:[\s,.!?…]+(?:there|all|everyone|friend|you|so much|a lot|very much|diffagent|how are you(?: doing)?"
    r"(?: today)?|how's it going|what's up|wie geht(?:'s| es)(?: dir| ihnen)?|ça va|ca va|comment (?:ça|"
    r"ca) va|"
    r"qué tal|que tal|cómo estás|como estas|come stai|come va|tudo bem|como vai|hoe gaat het|jak się masz|"
    r"jak sie masz|как дела|nasılsın|nasilsin|你好吗|お元気ですか|잘 지내\w*|كيف حالك|आप कैसे हैं|कैसे हो))*"
    r"[\s,.!?…，。！？、]*)+",
    _I,
)
# what is said between two requests
_ASIDE = re.compile(
    r"(?:ok(?:ay)?|yes|no|nope|yeah|sure|cool|great|nice|lol|hm+|never ?mind|stop|help|start|i'm bored|"
    r"im bored|"
    r"please|maybe|i don't know|idk)(?:[\s,]+(?:please|thanks|thank you))?[\s.!?…]*",
    _I,
)
_CAN_YOU = re.compile(
    r"(?:can|could|will|would|do) you (?:please )?(?:help(?: me)?(?: out)?|draw|paint|sketch|talk|"
    r"speak \w+|make "
    r"(?:images|pictures|art)|understand (?:me|this|\w+))[\s.!?…]*",
    _I,
)
_OF_MINE = re.compile(
    r"(?:why|how come) (?:is|are|does|do|did|was|were|can't|won't) (?:my|the|it|this|i)\b.*", _I
)
_EXPLAIN = re.compile(
    r"(?:please |can you |could you )*(?:explain|translate|summari[sz]e|proofread|define)\b.*"
    r"|(?:an? )?recipe (?:for|of)\b.*|give me (?:\d+|some|a few) [\w ]*(?:ideas|tips|names|reasons|"
    r"facts)\b.*",
    _I,
)
_FOREIGN_QUESTION = re.compile(
    r"[¿\s]*(?:(?:was|wer|wie|wo|wann|warum|welche\w*|qui|que|quoi|quel\w*|où|quand|pourquoi|comment|qué|"
    r"quién|"
    r"cómo|dónde|cuándo|por qué|cuál|chi|che|cosa|come|dove|quando|perché|quem|como|onde|por que|wat|wie|"
    r"hoe|waar|"
    r"wanneer|waarom|co|kto|jak|gdzie|kiedy|dlaczego|что|кто|как|где|когда|почему|сколько|ne|kim|nasıl|"
    r"nerede|neden|"
    r"ما|من|كيف|أين|متى|لماذا|क्या|कौन|कैसे|कहाँ|कब|क्यों)\b.*|.*(?:什么|怎么|为什么|哪里|吗|何です|なぜ|どうやって|"
    r"どこ|ですか|무엇|뭐|어떻게|왜|어디|อะไร|ทำไม|อย่างไร|ที่ไหน|gì|tại sao|ở đâu|thế nào).*)[?？؟]\s*",
    _I,
)
_FOREIGN_TASK = re.compile(
    r"(?:schreib(?:e|en|t)?|écri(?:s|re|vez)|ecri(?:s|re|vez)|escrib(?:e|ir|a)|scriv(?:i|ere)|escrev(?:a|"
    r"er)|schrijf|napisz|напиши\w*|yaz|übersetz\w*|"
    r"traduis|traduce|traduci|traduza|vertaal|przetłumacz|переведи|çevir|اكتب|ترجم|लिखो|लिखिए)\b(?! auf|"
    r" sur| sobre).*"
    r"|.*(?:写(?:一)?(?:首|篇|封|个)|翻译|を書いて|翻訳して|써줘|번역해|"
    r"เขียน(?:บทกวี|จดหมาย|อีเมล)|viết (?:một )?(?:bài|thư|"
    r"email)).*",
    _I,
)
_QUESTION = re.compile(
    r"(?!what an? )(?:what|who|whom|whose|when|where|why|how|which|is|are|was|were|does|do|did|should|has|"
    r"have)\b"
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
    if _GREETING.fullmatch(said) or _ASIDE.fullmatch(said) or _FILLER.search(said):
        return NO_PICTURE
    if (
        said and re.fullmatch(r"[\W_]*(?:\d+[\s]*[-+*/=x][-+*/=x\d\s.?]*)?", said) and said.isascii()
    ):  # "???", "2+2"
        return NO_PICTURE
    greeting = _GREETING.match(said)
    if greeting and re.search(r"[,.!?…]\s*$|\s$", greeting.group()):  # "Hi, what can you do?"
        said = said[greeting.end() :].lstrip()
    if any(
        pattern.fullmatch(said)
        for pattern in (_CAN_YOU, _OF_MINE, _EXPLAIN, _FOREIGN_QUESTION, _FOREIGN_TASK)
    ):
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
