// What ImageMagick has to say about the PSD of a set, in the format of psd_interop.sh.
import { readSet } from './common.mjs';

const set = readSet(process.argv[2]);
const offset = (v) => (v < 0 ? `${v}` : `+${v}`);
const mode = (m) => ({ normal: 'Over' })[m] ?? m.replace(/(^|-)(.)/g, (_, _dash, c) => c.toUpperCase());
console.log(`${set.width} ${set.height} +0 +0 Over`);
for (const l of set.layers)
    console.log(`${l.width} ${l.height} ${offset(l.x)} ${offset(l.y)} ${l.visible ? mode(l.blend_mode) : 'None'}`);
