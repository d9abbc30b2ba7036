"""The describer's word lists: what facets and categories are called, and which terms speak of a subject."""


def _read(lines: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for line in lines.strip().splitlines():
        said, _, terms = line.partition(":")
        for term in terms.split(","):
            table[term.strip()] = said.strip()
    return table


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


FACETS = {
    line.partition(":")[0].strip(): line.partition(":")[2].strip()
    for line in """
    pixel art: pixel art
    watercolor: watercolours
    oil painting: oil paintings
    painting: paintings
    ink painting: ink paintings
    chinese: Chinese scenes
    japanese print: Japanese prints
    sketch: sketches
    line art: line art
    monochrome: black and white
    comic: comics
    manga: manga
    anime: anime
    ghibli: the look of Ghibli films
    chibi: chibi figures
    kawaii: cute things
    cartoon: cartoons
    disney 3d: animated 3D films
    3d: 3D renders
    low poly: low-poly scenes
    isometric: isometric views
    toy: toy figures
    lego: plastic bricks
    clay: clay figures
    felt: felt figures
    paper: paper craft
    sticker: stickers
    icon: icons
    flat: flat drawings
    game asset: game items
    stained glass: stained glass
    mosaic: mosaics
    glass: glass
    embroidery: embroidery
    graffiti: graffiti
    pop art: pop art
    art nouveau: art nouveau
    tarot: tarot cards
    art deco: art deco
    retro: the look of past decades
    synthwave: synthwave
    neon: neon light
    poster: posters
    cyberpunk: cyberpunk
    steampunk: steampunk
    sci-fi: science fiction
    mecha: robots
    fantasy: fantasy
    dark fantasy: dark fantasy
    horror: horror
    gothic: gothic scenes
    surreal: the surreal
    abstract: abstract art
    pattern: patterns
    photo: photos
    analog: film photos
    cinematic: film scenes
    noir: film noir
    fashion: fashion
    food: food
    product: products
    interior: interiors
    architecture: architecture
    landscape: landscapes
    concept art: concept art
    digital painting: digital paintings
    illustration: illustrations
    storybook: storybook pictures
    2.5d: semi-realistic figures
    car: cars
    animal: animals
    statue: statues
    post-apocalyptic: worlds after the end
    egyptian: ancient Egypt
    western: the Wild West
    tribal: tribal art
    tattoo: tattoos
    collage: collages
    underwater: underwater scenes
    christmas: Christmas
    """.strip().splitlines()
}
"""What a description calls each facet (retrieval/tables/facets.txt)."""

THINGS = {
    "clothing": "an outfit",
    "poses": "a pose",
    "pose": "a pose",
    "action": "an action",
    "character": "a character",
    "vehicle": "a vehicle",
    "animal": "an animal",
    "objects": "an object",
    "assets": "game assets",
    "buildings": "buildings",
    "background": "a background",
    "tool": "an effect",
    "concept": "one idea",
}
"""What a special LoRA adds, by the category that its tags name; the first that is there."""

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
