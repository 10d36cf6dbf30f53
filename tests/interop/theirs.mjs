// A document with what we never write: a group, a mask, a hidden layer inside, a mode of two words.
function noise(width, height, seed) {
    const data = new Uint8ClampedArray(width * height * 4);
    for (let i = 0; i < data.length; i++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        data[i] = i % 7 < 3 ? seed >>> 16 : 100;
    }
    return { width, height, data };
}

export const mask = { left: 1, top: 1, defaultColor: 0, imageData: noise(2, 2, 9) };
for (let i = 0; i < 16; i++) mask.imageData.data[i] = i % 4 === 3 ? 255 : 40 * (i >> 2);

export const psd = {
    width: 17,
    height: 9,
    imageData: noise(17, 9, 1),
    children: [
        { name: 'bottom', left: 0, top: 0, imageData: noise(17, 9, 2) },
        {
            name: 'group é',
            opened: true,
            opacity: 0.4,
            children: [
                { name: 'in 層', left: 1, top: 1, imageData: noise(3, 2, 3), blendMode: 'screen', mask },
                { name: 'hidden', hidden: true, left: -2, top: 3, imageData: noise(4, 4, 4) },
            ],
        },
        { name: 'top', left: 3, top: 0, imageData: noise(2, 2, 5), blendMode: 'color dodge', opacity: 0.2 },
    ],
};
