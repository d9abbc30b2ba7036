"""The describer's own word lists: which terms speak of a style, of a kind of picture, of a subject.

Each line of a list is `what the description says: terms that mean it`.
"""


def _read(lines: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for line in lines.strip().splitlines():
        said, _, terms = line.partition(":")
        for term in terms.split(","):
            table[term.strip()] = said.strip()
    return table


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


STYLES = _read(
    """
    anime: anime, manga, anime style, anime screencap, niji, nijijourney, waifu
    photorealistic: photorealistic, photorealism, photo realistic, hyperrealistic, hyperrealism, lifelike
    realistic: realistic, realism, real
    semi-realistic: semi realistic, semi realism, semirealistic
    2.5D: 2.5d, 25d
    3D: 3d, 3d render, cgi, c4d, pixar, claymation
    cartoon: cartoon, toon, cartoony, 2d cartoon
    comic-book: comic, comics, comic book, western comics, graphic novel, superhero, ligne claire
    pixel-art: pixel, pixel art, 8bit, 16bit
    cyberpunk: cyberpunk, cyber punk, neon, cyber
    steampunk: steampunk, gaslamp, clockwork, brass
    dieselpunk: dieselpunk, dieselpunkai
    post-apocalyptic: apocalyptic, post apocalyptic, apocalypse, wasteland, dystopian
    science-fiction: sci fi, scifi, science fiction, spaceship, space opera
    futuristic: futuristic, future, high tech
    fantasy: fantasy, fantasy art, rpg, dnd, dungeons, magical, fairy tale
    dark fantasy: dark fantasy, grimdark, warhammer
    horror: horror, creepy, scary, eldritch, lovecraft, nightmare
    gothic: gothic, goth
    art-deco: art deco, deco, artdecoai
    art-nouveau: art nouveau, nouveau
    synthwave: synthwave, vaporwave, outrun, retrowave, snthwve
    retro: retro, 80s, 90s, 1980s, 1990s, 70s
    vintage: vintage, analog, polaroid
    cinematic: cinematic, movie, cinematic lighting
    painterly: painterly, brush strokes, brushstrokes, impressionism, impasto
    surreal: surreal, surrealism, psychedelic, dreamlike, dreamlikeart, liminal
    abstract: abstract, fractal, geometric
    minimalist: minimalism, minimalist, minimal, flat color, flat colors, flat
    isometric: isometric
    low-poly: low poly, lowpoly
    chibi: chibi, sd character
    cute: cute, kawaii, adorable
    monochrome: monochrome, black and white, greyscale, grayscale
    colourful: colorful, vibrant, vivid, vibrant colors, vivid colors
    pastel: pastel, pastel colors
    medieval: medieval, middle ages
    Victorian: victorian
    Chinese-style: chinese, chinese style, hanfu, wuxia, guofeng, xianxia
    Japanese-style: japanese, ukiyo, japan, kimono
    storybook: storybook, children's book, fairytale
    stylised: stylized, stylised
    """
)

MEDIA = _read(
    """
    photographs: photo, photography, photograph, photos, dslr, raw photo
    illustrations: illustration, digital illustration, illustrations
    paintings: painting, paintings, oil painting, oil, acrylic, gouache
    watercolours: watercolor, watercolour, watercolors
    digital art: digital art, digital painting
    concept art: concept art, environment concept, character concept
    sketches: sketch, pencil, pencil sketch, drawing, charcoal
    line drawings: lineart, line art, line drawing, coloring, ink, manga page
    renders: 3d render, render, rendering
    pixel sprites: pixel art, sprite, spritesheet
    vector graphics: vector, flat vector, logo, logos
    game icons: icon, icons, game icon, game icons
    game assets: game asset, game assets, asset, assets, game art, props
    stickers: sticker, stickers
    posters: poster, posters, movie poster
    tarot cards: tarot, tarot card
    screencaps: screencap, anime screencap, screenshot
    sculptures: sculpture, statue, figurine, figure, bust sculpture
    product shots: product, product design, product photography, industrial design
    architectural views: architectural visualization, archviz, architecture design, exterior rendering
    """
)

SUBJECTS = _read(
    """
    portraits: portrait, portraits, portaits, closeup portrait, headshot
    women: woman, women, female, lady, 1girl, girl, girls, waifu
    men: man, men, male, 1boy, boy, guy, handsome, beard
    characters: character, characters, character design, game character, oc
    crowds: crowd, crowds, people
    landscapes: landscape, landscapes, scenery, mountain, mountains, valley, river, lake, waterfall
    forests: forest, jungle, trees, woods
    coastlines: ocean, sea, beach, underwater, waves, coast
    skies: sky, clouds, cloud, sunset, starry sky, night sky
    space: space, planet, galaxy, nebula, astronaut, cosmos
    cities: city, cityscape, street, skyscraper, urban, skyline, town
    buildings: building, buildings, architecture, house, villa, facade, temple, skyscrapers
    castles: castle, ruins, tower, dungeon, fortress
    interiors: interior, interiors, interior design, room, rooms, kitchen, bedroom, living room, indoors
    cars: car, cars, car design, sports car, truck
    vehicles: vehicle, vehicles, motorcycle, train, tank, bus, helicopter
    aircraft: aircraft, airplane, airship, ship, boat, dirigible, jet
    spacecraft: spaceship, spacecraft, starship
    robots: robot, robots, android, cyborg, droid, mechanical body, automaton
    mechs: mecha, mech, gundam
    machines: machine, machines, mechanical, gears, gadget, toaster, appliance
    dragons: dragon, dragons
    monsters: monster, monsters, creature, creatures, beast, demon, demons
    aliens: alien, aliens
    skulls: skull, skeleton, skulls, bones
    undead: zombie, zombies, vampire, ghost, undead
    animals: animal, animals, cat, dog, wolf, fox, lion, horse, rabbit, bear, tiger, owl, puppy
    birds: bird, birds, eagle, raven, crow
    insects: insect, butterfly, spider, bee
    fish: fish, shark, whale, octopus
    anthros: furry, anthro, anthropomorphic
    knights: armor, armour, knight, helmet, plate armor
    warriors: warrior, samurai, soldier, barbarian, ninja, viking
    wizards: wizard, witch, mage, sorceress, sorcerer, magic
    elves: elf, elves, elven
    weapons: weapon, weapons, sword, swords, gun, rifle, dagger, axe
    food: food, cake, burger, fruit, coffee, pizza, dessert
    flowers: flower, flowers, rose, petals, floral
    plants: plant, plants, tree, mushroom, mushrooms, cactus
    clothing: dress, clothes, clothing, fashion, outfit, hoodie, jacket, costume
    hats: hat, hats, cap
    jewellery: jewelry, jewellery, necklace, crown, gemstone, crystal
    furniture: furniture, chair, sofa, table, lamp
    toys: toy, toys, doll, plush, lego, blindbox, funko
    fire: fire, flames, lightning, explosion
    snow: snow, ice, winter, frozen
    fog: rain, fog, mist, storm
    """
)

# words of image quality and camera craft: they recommend pictures and tell nothing of what a model makes
QUALITY = _words(
    """
    torn behind slim pile squatting hotify prettify
    masterpiece best quality high highest highres absurdres detailed detail details ultra extremely
    intricate hdr uhd hd resolution amazing beautiful perfect stunning award winning trending artstation
    cgsociety professional sharp focus wallpaper official unity cg super hyper highly finely insanely
    insane very good great nice awesome gorgeous epic render octane engine unreal lighting light lights
    shadow shadows background simple solo looking viewer view shot angle full body upper standing
    sitting pose wearing holding style art artwork image picture scene texture textures skin eyes eye
    hair face mouth lips hand hands hairs depth field bokeh lens dslr mm film grain canon nikon sony
    fujifilm xt photo photograph photography ray tracing raytracing global illumination subsurface
    scattering volumetric ambient occlusion aberration chromatic bloom contrast color colors colour
    colours colored realistic photorealistic realism anime digital illustration painting concept
    masterpieces dynamic composition natural soft hard smooth clean clear real true pure fine fantastic
    elegant close up long short big small large tall old new young red blue green yellow black white
    brown pink purple orange grey gray silver gold golden dark bright deep open closed one two three
    girl girls boy boys woman man male female 1girl 1boy human humans people person character guy guys
    lady handsome attractive cute sexy pretty hot low bad worst normal medium wide half side front back
    top bottom left right center centered middle out down styles lora model version checkpoint vae sd
    sdxl mix merge trained training prompt prompts trigger word words weight weights negative positive
    sampler steps cfg clip skip hires fix upscale upscaler denoising strength images generate generated
    generation result results recommended recommend please thanks thank feel free support patreon
    discord coffee buymeacoffee kofi follow page link links download update updated upload uploaded
    works work working try better want need like lot many much make makes made create creating creates
    created different first second last next time way thing things know see don doesn isn can will let
    go going rutkowski greg mucha alphonse artgerm kuvshinov samdoesart samdoesarts ross tran wlop bilal
    jeremy mann lipking antonio manzanedo lee jeffries magali villeneuve craig mullins krenz cushart
    ruan jia loish beksinski zdzislaw giger syd mead moebius frazetta norman rockwell thomas kinkade
    ghibli hayao miyazaki disney pixar nvidia taylor swift emma watson scarlett johansson res absurd
    break key making stock alone mid xt3 notes based day away multiple look looks part still tiny extra
    post fit really length frame original cross solid world location level rule thirds ratio scale final
    single absurdly various features physically rendered artist artists far near max love appearance
    little worn fighting video profile graded diffused position expression posing serious slight
    slightly lots several few zaha hadid david jiaran hatsune miku lotr gandalf source limited palette
    broad adult mature aged dramatic moody atmosphere atmospheric glossy gloss shiny intricately ornate
    wears hold holds stand stands sit hyperdetailed ultradetailed photoreal cinema shots shoot
    modelshoot style2 visible coherent proportions proportion anatomy anatomical accurate rich vibrant
    vivid muted tone tones toned grading saturation saturated aspect rating safe general explicit
    questionable cowboy expressionless focused thumb dreamlike nvinkpunk snthwve inkpunk analog swpunk
    postapocalypse knollingcase discoelysium deviantart pixiv pinterest behance unrealengine vray corona
    houdini zbrush blender substance maya cinema4d keyshot lumen raytraced photoshop exposure iso
    aperture fstop portra kodak ektar fuji leica hasselblad nikkor zeiss cinestill letterboxed
    illustrator painter photographer photographed painted drawn shaded lit lighted light1 designed
    depicted missing fewer bad2 lowres text watermark signature logo username error cropped jpeg
    artifacts blurry year years older younger age beautifuls handsomely absolutely incredible immense
    impressive gigapixel superresolution topaz upscaled reflections reflection reflective refraction
    glow glows
    """
)

# words that tell how something is; they are no motif by themselves, but may stand before one
ADJECTIVES = _words(
    """
    modern powerful huge rugged foggy snowy wavy cosmic eerie luxurious muscular symmetrical straight
    abandoned outdoors indoors perspective symmetry summer smiling collared floating starry cloudy sunny
    majestic ancient futuristic colorful mysterious magical mystical ethereal delicate decorated
    decorative crowded dirty messy wet dusty rusty overgrown broken damaged ornamental transparent
    translucent metallic fluffy furry round curly braided tied parted blonde brunette ginger pale tan
    tanned freckled happy sad angry calm cozy warm cold hooded sleeveless striped plaid floral outdoor
    indoor urban rural tropical alternate random minimal heavy wide empty fictional historical
    traditional contemporary classical classic european american asian russian french italian german
    british african indian korean evil holy divine lonely alien fantasy energy beauty view views day
    fiction science high short sideways screen aesthetic raw
    design ornament game definition theme closeup midjourney camera inside around shoulder teeth gradient
    sci rim foreground environment cool complex arms lines shade thick facial master extreme dim artistic
    multicolored star heart lush intense waist gloomy strong piece milky dutch pupils effect cut masculine
    pattern against windy shallow inspired action peaceful robotic surrounded hues oversized finger four
    western outside shoulders faded cover rays sense life wooden ears neck tail sports parts casual liquid
    serene motion matte distant filled mad air media luxury power east scheme complicated cluttered macro
    muscle hairstyle bold visual flame giant neutral aerial blur shaped crossed celestial strange another
    print area extreme bob line circle head effect stream device chest arm covered flare bun pov 2girls
    1man pipeline outline shade aura style pupils headshot aqua teal cyan god
    architectural rainy cherry nature horizontal music
    """
)

NOUNS_IN_ING = _words(
    "bed shed weed lightning"
    " ring rings wing wings king earring earrings evening morning ceiling string spring clothing"
)

STOP_WORDS = _words(
    """
    a about above after again all also am an and any are as at be because been before being below
    between both but by can could did do does doing down during each few for from further get got had
    has have having he her here hers him his how i if in into is it its itself just like me more most my
    no nor not now of off on once only or other our out over own same she should so some such than that
    the their them then there these they this those through to too under until up upon use used using
    very via was we were what when where which while who whom why will with within without would you
    your
    """
)
