"""The commonest refinements in German, French, Spanish, Chinese, Japanese and Russian.

    >>> read_other_language("mach es breiter, bitte")
    (Step(kind='shape', value='wide'),)

A message is read so only where all of it is one of these phrases, or "no" before one of these things; what
the picture shall show is read by retrieval/requests/languages.py.
"""

import functools
import re
import unicodedata

from diffagent_tools.chat.steps import Step

# one line a wish, phrases parted by "|"; without accents and in small letters, as `_folded` makes them
_PHRASES: tuple[tuple[Step, str], ...] = (
    (
        Step("shape", "wide"),
        "breit|breiter|breitbild|querformat|im querformat|quer|mach es breit|mach es breiter|mach das bild "
        "breiter"
        "|in die breite|large|plus large|paysage|format paysage|en format paysage|en paysage|au format "
        "paysage"
        "|horizontal|rends le plus large|plus large s'il te plait|ancho|mas ancho|apaisado|en horizontal"
        "|hazlo mas ancho"
        "|hazlo ancho|formato horizontal|宽一点|更宽|宽|横版|横屏|横向|横图|宽屏|改成横的|变宽|横長"
        "|横長に|横長にして"
        "|もっと横長|横向き|横向きに|横にして|ワイド|もっと広く|шире|пошире|широкий|широкоформатный"
        "|горизонтально"
        "|горизонтальный формат|сделай шире|сделай пошире|альбомный формат",
    ),
    (
        Step("shape", "tall"),
        "hoch|hoher|hochformat|im hochformat|hochkant|mach es hoch|mach es hoher|haut|plus haut|portrait"
        "|format portrait"
        "|en format portrait|en portrait|vertical|rends le plus haut|alto|mas alto|en vertical|hazlo mas "
        "alto|formato vertical"
        "|竖版|竖屏|竖向|竖图|高一点|更高|改成竖的|变高|縦長|縦長に|縦長にして|もっと縦長|縦向き"
        "|縦向きに|縦にして"
        "|выше|повыше|вертикально|вертикальный формат|сделай выше|портретный формат",
    ),
    (
        Step("shape", "square"),
        "quadratisch|quadrat|als quadrat|mach es quadratisch|wieder quadratisch|carre|format carre|en carre"
        "|cuadrado"
        "|en cuadrado|hazlo cuadrado|formato cuadrado|方形|正方形|方图|改成方的|正方形に"
        "|正方形にして|真四角|квадрат"
        "|квадратный|квадратом|сделай квадратным",
    ),
    (
        Step("another"),
        "ein anderes|ein anderes modell|anderes modell|noch eins|noch ein modell|das nachste|ein weiteres"
        "|etwas anderes"
        "|zeig mir ein anderes|un autre|une autre|un autre modele|autre chose|le suivant|encore un|montre "
        "m'en un autre"
        "|otro|otra|otro modelo|otra cosa|el siguiente|uno mas|muestrame otro|换一个|再来一个|另一个"
        "|下一个|别的|换别的"
        "|换个模型|还有别的吗|別の|他の|別のモデル|他のモデル|次|もう一つ|別のを見せて|他にある"
        "|ほかの|другой|другую"
        "|другая|другая модель|другую модель|ещё один|еще один|ещё одну|еще одну|следующий|следующая"
        "|покажи "
        "другую"
        "|покажи другой|что-нибудь другое|что-то другое",
    ),
    (
        Step("refuse"),
        "nicht das|das nicht|nicht dieses|das da nicht|nicht dieses modell|gefallt mir nicht"
        "|das gefallt mir "
        "nicht"
        "|pas celui-la|pas celui la|pas celle-la|pas ca|pas celui-ci|pas ce modele|je n'aime pas|ca ne me "
        "plait pas"
        "|ese no|esa no|este no|no ese|no me gusta|ese modelo no|eso no|不要这个|不是这个|这个不行"
        "|不喜欢|这个不好|不要它"
        "|それじゃない|これじゃない|それではない|これは嫌|それは嫌|気に入らない|違う|ちがう|не эту"
        "|не это|не этот|не та"
        "|не то|эта не подходит|мне не нравится|не нравится",
    ),
    (
        Step("undo"),
        "zuruck|ruckgangig|ruckgangig machen|einen schritt zuruck|mach das ruckgangig|retour|annuler|annule"
        "|reviens"
        "|revenir en arriere|deshacer|atras|volver|deshazlo|撤销|返回|退回|后退|上一步|戻して|戻る"
        "|元に戻して|取り消し"
        "|назад|отмена|отменить|отмени|верни|верни назад",
    ),
    (
        Step("thanks"),
        "danke|danke schon|vielen dank|super danke|perfekt|sehr gut|merci|merci beaucoup|parfait"
        "|super merci"
        "|tres bien"
        "|gracias|muchas gracias|perfecto|muy bien|谢谢|谢谢你|多谢|很好|太好了|ありがとう"
        "|ありがとうございます|どうも"
        "|いいね|完璧|спасибо|большое спасибо|отлично|хорошо",
    ),
    (
        Step("ask", "self"),
        "was kannst du|was kannst du tun|was bist du|wie geht das|que peux-tu faire|que sais-tu faire|qui "
        "es-tu"
        "|comment ca marche|que puedes hacer|que eres|como funciona|你能做什么|你会什么|你是谁"
        "|怎么用|何ができる"
        "|何ができますか|使い方|что ты умеешь|что ты можешь|кто ты|как это работает",
    ),
    (
        Step("licence"),
        "darf ich es verkaufen|darf ich das verkaufen|darf ich die bilder verkaufen|kann ich es verkaufen"
        "|puis-je le vendre|puis-je vendre l'image|je peux le vendre|puedo venderlo|puedo vender la imagen"
        "|可以卖吗"
        "|可以商用吗|能商用吗|商用できますか|売ってもいいですか|販売できますか|можно продавать"
        "|можно ли продавать"
        "|могу я это продавать",
    ),
    (
        Step("commercial", True),
        "nur modelle die ich verkaufen darf|zum verkaufen|fur kommerzielle nutzung|pour la vente|usage "
        "commercial"
        "|para vender|uso comercial|可商用的|商用|只要可商用的|商用可能なもの|для продажи"
        "|коммерческое использование",
    ),
    (
        Step("like", "realistic photo"),
        "realistischer|mehr realistisch|fotorealistischer|plus realiste|mas realista|更真实|更写实"
        "|真实一点|写实一点"
        "|もっとリアルに|よりリアルに|もっと写実的に|реалистичнее|более реалистично|пореалистичнее",
    ),
)
_NONE = (
    r"(?:bitte )?(?:keine|kein|keinen|ohne|nicht mit) (?P<de>.+)|(?:s'il te plait )?(?:pas de|pas d'|sans"
    r"|aucune?) ?(?P<fr>.+)"
    r"|(?:sin|no quiero|nada de) (?P<es>.+)|(?:不要|没有|无|不要有|别有|去掉)(?P<zh>.+)"
    r"|(?P<ja>.+?)(?:なしで|なし|はいらない|を入れないで|を消して|無しで|無し)|(?:без|не надо"
    r"|убери) (?P<ru>.+)"
)
_THINGS = {
    "people": "menschen|leute|personen|person|mensch|gens|personnes|personne|humains|gente|personas|persona"
    "|humanos|人"
    "|人物|人类|人間|ひと|людей|человека|людеи|человек",
    "text": "text|texte|schrift|texto|letras|letra|文字|字|テキスト|текста|текст|надписей|букв",
    "watermark": "wasserzeichen|filigrane|marca de agua|水印|ウォーターマーク|透かし|водяных знаков"
    "|водяного знака",
    "background": "hintergrund|arriere-plan|fond|fondo|背景|фона|фон",
    "animals": "tiere|animaux|animales|动物|動物|животных",
    "buildings": "gebaude|hauser|batiments|maisons|edificios|casas|建筑|房子|建物|зданий|домов",
    "blood": "blut|sang|sangre|血|крови",
    "cars": "autos|voitures|coches|carros|汽车|车|車|машин",
}
_POLITE = re.compile(
    r"(?:^(?:bitte|jetzt|ok|nein|und|aber|s'il te plait|s'il vous plait|non|et|mais|por favor|y|pero"
    r"|请|麻烦|那"
    r"|пожалуйста"
    r"|нет|и|но)[\s,、，]+)|(?:[\s,、，]*(?:bitte|s'il te plait|s'il vous plait|svp|por favor|吧"
    r"|谢谢|ください|でお願いします"
    r"|お願いします|お願い|пожалуйста)$)"
)


def read_other_language(message: str) -> tuple[Step, ...]:
    """The one wish of a message in another language than English; nothing where it is none of the table."""
    said = _folded(message)
    for form in dict.fromkeys(
        (said, _POLITE.sub("", said).strip(), _POLITE.sub("", _POLITE.sub("", said)).strip())
    ):
        step = _table().get(form)
        if step is not None:
            return (step,)
        refused = re.fullmatch(_NONE, form)
        if refused is not None:
            thing = _things().get(next(filter(None, refused.groups()), "").strip())
            if thing is not None:
                return (Step("avoid", thing),)
    return ()


@functools.cache
def _table() -> dict[str, Step]:
    return {_folded(phrase): step for step, phrases in _PHRASES for phrase in phrases.split("|")}


@functools.cache
def _things() -> dict[str, str]:
    return {_folded(word): name for name, listed in _THINGS.items() for word in listed.split("|")}


def _folded(text: str) -> str:
    """Small letters without marks of Latin ones and without what ends a sentence."""
    small = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").strip(" .!?。！？¡¿…")
    latin = (
        char
        if ord(char) > 0x24F
        else "".join(c for c in unicodedata.normalize("NFD", char) if ord(c) < 0x300)
        for char in small
    )
    return " ".join("".join(latin).split())
