// What the checks share: the PNG set as the truth, and plain assertions.
import fs from 'node:fs';
import path from 'node:path';

export function readSet(dir) {
    const set = JSON.parse(fs.readFileSync(path.join(dir, 'layers.json'), 'utf8'));
    for (const layer of set.layers)
        layer.pixels = fs.readFileSync(path.join(dir, layer.file.replace(/png$/, 'rgba')));
    set.composite = fs.readFileSync(path.join(dir, 'composite.rgba'));
    return set;
}

export function same(what, got, expected) {
    if (got !== expected)
        throw new Error(`${what} is ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

export function near(what, got, expected, tolerance) {
    if (!(Math.abs(got - expected) <= tolerance))
        throw new Error(`${what} is ${got}, expected ${expected}`);
}

// Colours where alpha is 0 count, too, unless the program is known to lose them.
export function samePixels(what, got, expected, tolerance = 0) {
    same(`${what}: bytes`, got.length, expected.length);
    for (let i = 0; i < got.length; i++)
        near(`${what}: byte ${i}`, got[i], expected[i], tolerance);
}
