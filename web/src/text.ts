/* text.ts - every string that a person reads. One object a panel. */

const undo = {
  show: 'show', hide: 'hide', lock: 'lock', unlock: 'unlock', blend: 'blend mode', rename: 'rename', opacity: 'opacity', move: 'move',
  add: 'add layer', order: 'reorder', remove: 'delete layer', duplicate: 'duplicate', group: 'group', ungroup: 'ungroup',
  reassemble: 'one layer again', apart: 'take apart', selection: 'mask', extend: 'extend the canvas', transform: 'transform', crop: 'crop', project: 'rename project'
}

const canvas = {
  name: 'Canvas',
  rail: 'Tools',
  tools: { move: 'Move', hand: 'Hand', zoom: 'Zoom', crop: 'Crop' },
  grid: 'Pixel grid',
  snap: 'Snap to edges and middles',
  rulers: 'Rulers',
  status: {
    zoom: (z: number) => `${z < 0.1 ? (100 * z).toFixed(1) : Math.round(100 * z)} %`, place: (x: number, y: number) => `${x}, ${y}`, transparent: 'transparent',
    loading: (n: number) => n === 1 ? 'Reading an image' : `Reading ${n} images`,
    missing: (n: number) => n === 1 ? 'An image could not be read' : `${n} images could not be read`,
    slow: 'Drawn without the graphics card', slowWhy: 'This browser has no WebGL2 here. Everything looks the same; large canvases are slower.'
  },
  selectNone: 'Select nothing',
  copy: 'Copy as an image', copiedAll: 'Everything is in the clipboard, as a PNG.',
  copiedLayers: (n: number) => n === 1 ? 'The layer is in the clipboard, as a PNG.' : `${n} layers are in the clipboard, as one PNG.`,
  noClipboard: 'This browser lets pages use the clipboard only on this machine or over HTTPS.',
  compareSource: 'Compare with what it was taken apart from',
  compare: {
    line: 'Border of the comparison', before: 'Before', after: 'After', source: 'Source', recomposed: 'Recomposed', done: 'End the comparison',
    how: 'How to compare', ways: { curtain: 'Curtain', before: 'Source', difference: 'Difference' },
    psnr: (db: number) => db === Infinity ? 'Identical' : `PSNR ${db.toFixed(1)} dB`
  },
  options: 'Tool options',
  crop: {
    width: 'Width', height: 'Height', apply: 'Crop', command: 'Crop to the frame', cancel: 'Do not crop', tooLarge: 'A canvas has at most 30,000 pixels a side and 100 million in all.',
    size: (w: number, h: number) => `${w} \u00d7 ${h}`
  },
  nudge: {
    ArrowLeft: (by: number) => `Left by ${by}`, ArrowRight: (by: number) => `Right by ${by}`,
    ArrowUp: (by: number) => `Up by ${by}`, ArrowDown: (by: number) => `Down by ${by}`
  },
  readout: (x: number, y: number, w: number, h: number, angle: number | null) =>
    `${Math.round(x)}, ${Math.round(y)} \u00b7 ${Math.round(w)} \u00d7 ${Math.round(h)}${angle === null ? '' : ` \u00b7 ${angle}\u00b0`}`
}

const save = {
  saved: 'Saved',
  saving: 'Saving',
  offline: 'Offline: changes wait',
  collided: 'This project was changed elsewhere at the same time. Your last change was not kept; the newest state is shown.',
  refused: (why: string) => `The change was not kept: ${why}`
}

const task = { generate: 'Made', edit: 'Changed', layers: 'Taken apart', caption: 'Described' }

const stage = { load: 'Reading the model', text: 'Reading the prompt', encode: 'Encoding', steps: 'Step', decode: 'Decoding' }

const state = { queued: 'Waiting', running: 'Running', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', interrupted: 'Interrupted' }

const commands = {
  undo: 'Undo', redo: 'Redo', cut: 'Cut', duplicate: 'Duplicate', group: 'Group', ungroup: 'Ungroup', mergeDown: 'Merge down',
  remove: 'Delete', selectAll: 'Select all layers', fit: 'Fit', actual: '100 %', double: '200 %', zoomIn: 'Zoom in', zoomOut: 'Zoom out',
  palette: 'Commands', shortcuts: 'Keyboard shortcuts', export: 'Export', settings: 'Settings', home: 'All projects', run: 'Run the open panel'
}

const groups = { edit: 'Edit', view: 'View', tools: 'Tools', layers: 'Layers', masks: 'Masks', candidates: 'Results', app: 'Editor' }

const history = {
  label: 'History', deleted: 'Deleted from the history.', empty: 'What you make appears here, with all that made it.', nothingFound: 'Nothing like that was made.', all: 'Show all', search: 'Search prompts',
  starred: 'Starred only', fold: 'Fold the history away', toggle: 'Show or hide the history', unnamed: 'Image', item: (name: string, starred: boolean) => `${name}${starred ? ', starred' : ''}`,
  again: 'Use again', vary: 'Vary: the same with a new seed', layer: 'Add as a layer', project: 'Open as a project', command: 'Copy as command line', star: 'Star', unstar: 'Take the star away', remove: 'Delete',
  noRecipe: 'Nothing is known of how this image was made.', incomplete: 'The images that it was made from are no longer known: choose them, then run it.', copied: 'The command line is in the clipboard.',
  hasRecipe: 'This image says how it was made.', useSettings: 'Use its settings'
}

const tasks = { label: 'What to do', make: 'Make', change: 'Change', apart: 'Take apart' }

const blend = {
  normal: 'Normal', multiply: 'Multiply', screen: 'Screen', overlay: 'Overlay', darken: 'Darken', lighten: 'Lighten', 'color-dodge': 'Color dodge',
  'color-burn': 'Color burn', 'hard-light': 'Hard light', 'soft-light': 'Soft light', difference: 'Difference', exclusion: 'Exclusion', add: 'Add',
  hue: 'Hue', saturation: 'Saturation', color: 'Color', luminosity: 'Luminosity'
}

const layers = {
  title: 'Layers', tree: 'Layers', menu: 'Layer actions', blend: 'Blend mode', opacity: 'Opacity', name: 'Name of the layer', unnamed: 'Layer',
  rename: 'Rename', merge: 'Merge layers', reassemble: 'Make one layer again', trim: 'Trim transparent edges', clean: 'Clean edges',
  raise: 'Raise', lower: 'Lower', solo: 'Show alone', toggleVisible: 'Show or hide', toggleLock: 'Lock or unlock',
  hide: 'Hide', show: 'Show', lock: 'Lock', unlock: 'Unlock', fold: 'Fold', unfold: 'Unfold', hidden: 'hidden', locked: 'locked', mask: 'Mask',
  members: (n: number) => n === 1 ? '1 layer' : `${n} layers`,
  empty: 'Nothing here yet. Make an image, or drop one onto the canvas.'
}

const make = {
  prompt: 'Prompt', promptHint: 'A lighthouse at dusk, seen from the sea', needPrompt: 'Say what the image should show.', size: 'Size', canvas: 'Canvas',
  width: 'Width', height: 'Height', swap: 'Swap width and height', steps: 'Steps', own: 'model\u2019s', seed: 'Seed', random: 'random',
  dice: 'New seed', lock: 'Keep the last seed', unlock: 'A new seed every time', count: 'Images', model: 'Model', automatic: 'Automatic', more: 'More',
  guidance: 'Guidance', tokens: 'Token limit', int8: 'Faster, a little less exact (int8)', fast: 'Speed', fastLevels: ['Exact, every step', 'A few steps left out', 'Many left out', 'Most left out'], transparent: 'The subject alone, with alpha (three times the work)', generate: 'Generate', first: 'Make an image',
  noModel: 'No model here can do this.'
}

const loras = {
  add: 'LoRA', choose: 'Add one',
  option: (name: string, base: string) => `${name}, for ${base}`,
  remove: (name: string) => `Remove ${name}`
}

const presets = {
  label: 'Presets', none: 'No presets yet', save: 'Save these words as a preset', name: 'Name', keep: 'Save', remove: (name: string) => `Delete \u201c${name}\u201d`
}

const plan = {
  asking: 'Asking what it takes', about: (s: string) => `about ${s}`, unknown: 'time not known yet', resident: 'fits', streamed: 'streams weights', refused: 'does not fit',
  allow: (b: string) => `Allow ${b.replace(/[KMGT]/, ' $&')}`, smaller: 'Make it smaller'
}

const change = {
  target: 'What to change', whole: 'Whole image', layer: 'Selected layer', selectLayer: 'Select a layer first', promptHint: 'Make the sky darker', needPrompt: 'Say what should change.',
  nothing: 'There is nothing to change yet: make an image, or drop one onto the canvas.', references: 'References', addReference: 'Add references from files',
  fromHistory: 'Add a reference from the history', dropReferences: 'Drop images that the change should look at',
  reference: (i: number, n: number, name: string) => `Reference ${i} of ${n}${name ? `: ${name}` : ''}. Left and Right move it, Delete removes it.`,
  removeReference: (i: number) => `Remove reference ${i}`, strength: 'Strength', feather: 'Feather', extend: 'Extend the canvas', extendLayer: 'Extend the layer',
  extendHint: 'Pixels to add at the sides, and to paint. Or drag the edges of the canvas.', sides: { left: 'Left', top: 'Top', right: 'Right', bottom: 'Bottom' }, noExtend: 'Do not extend',
  run: 'Edit', maskMisses: 'The mask covers nothing of it: paint over what should change, or clear the mask.'
}

const finish = {
  label: 'Mask edge and finish', grow: 'Grow the mask', soften: 'Soften its edge', invert: 'Change what the mask leaves out', crop: 'Only the part around the mask, in full detail',
  colours: 'Undo a tint of the whole', register: 'Undo a shift of the whole'
}

const mask = {
  label: 'Mask', shown: 'The mask: white is changed', inside: 'Only inside the mask', more: 'More for the mask', paint: 'Paint a mask', fromLayer: 'From the layer',
  hint: 'Everything may change. Paint or select a part of the canvas, and only that part will.'
}

const apart = {
  target: 'What to take apart', nothing: 'There is nothing to take apart yet: make an image, or drop one onto the canvas.', run: 'Take apart', only: 'The layer',
  promptHint: 'What is in the image. Empty: it is described first', describe: 'Describe', language: 'Language of the description', en: 'English', zh: '中文', layers: 'Layers', resolution: 'Resolution',
  negative: 'Avoid', keepEmpty: 'Keep empty layers', mergeDuplicates: 'Merge layers that hardly differ', fullSize: 'Layers in the size of the image'
}

const queue = {
  label: 'Queue', live: 'Running and waiting', ended: 'Ended in this session', empty: 'Nothing runs and nothing waits. What you ask for appears here.', pause: 'Pause', resume: 'Resume',
  paused: 'Paused: what runs goes on, nothing new starts.', stopped: 'The queue is paused', failed: (why: string) => `Failed: ${why}`, what: 'What to do', open: 'Show or hide the queue', pauseOrResume: 'Pause or resume the queue', cancelRunning: 'Cancel what is under way',
  engine: {
    engine_crashed: 'The engine crashed, and this could not be finished. Nothing else is lost. Try again: the engine starts anew.',
    engine_lost_worker: 'The worker on the other machine is gone. See that “veetance worker” runs there and can be reached, then try again.',
    engine_out_of_memory: 'The machine ran out of memory, and the engine was ended for it. Try smaller, give it a lower budget or close other programs.',
    engine_stuck: 'The engine gave no sign of life and was ended. Nothing else is lost. Try again: the engine starts anew.'
  },
  refused: 'This has ended the engine twice, so it is not tried again until the server is started anew. Change the prompt, the images, the size or the model.',
  log: 'What the engine said last',
  again: 'Try again', smaller: 'Try smaller', stream: 'Stream weights', show: 'Show', earlier: 'Earlier', later: 'Later', accepted: 'Accepted', discarded: 'Discarded',
  kinds: { generate: 'Make', edit: 'Change', layers: 'Take apart', caption: 'Describe' }, step: (k: number, n: number) => `Step ${k} of ${n}`,
  image: (i: number, n: number) => `Image ${i} of ${n}`, left: (s: string) => `${s} left`, more: (n: number) => `${n} more waiting`
}

const staging = {
  label: 'Results', of: (i: number, n: number) => `${i} of ${n}`, previous: 'Previous result', next: 'Next result', accept: 'Accept', discard: 'Discard', compare: 'Compare',
  how: 'How to compare', ways: { curtain: 'Curtain', before: 'What was there before', difference: 'Difference' }, vary: 'Vary: once more with new seeds', discarded: 'The result was discarded.', use: 'Use settings',
  seed: (s: number) => `seed ${s}`, waiting: (n: number) => n === 1 ? '1 more result waits' : `${n} more results wait`, recomposed: (db: string) => `recomposed: ${db} dB`,
  said: (i: number, n: number, seed: number | null) => `Result ${i} of ${n}${seed === null ? '' : `, seed ${seed}`}. Enter accepts, Escape discards.`
}

const home = {
  projects: 'Projects', search: 'Search projects', name: 'Name of the project', open: 'Open', rename: 'Rename', remove: 'Delete',
  empty: 'Nothing here yet. Begin with a prompt, an empty canvas, or a file dropped anywhere on this page.',
  nothingFound: (q: string) => `No project is called “${q}”.`,
  more: (name: string) => `More for ${name}`,
  facts: (when: string, w: number, h: number) => `${when}, ${w} × ${h}`,
  deleted: (name: string) => `“${name}” was deleted.`
}

const creating = {
  from: 'Begin with', fromPrompt: 'Prompt', empty: 'Empty canvas', fromFile: 'File',
  prompt: 'Prompt', promptHint: 'What the image shows, in plain words', model: 'Model', generate: 'Generate', create: 'Create', name: 'Name',
  noModel: 'No model that makes images is ready. Fetch one with veetance-fetch, or begin with a canvas or a file.',
  size: 'Size', width: 'Width', height: 'Height', swap: 'Swap width and height',
  small: 'Small', icon: 'Icon', square: 'Square', story: 'Story', screen: 'Screen', screen4k: 'Screen 4K', texture: 'Texture', a4: 'A4, 150 dpi', poster: 'A3, 300 dpi',
  fileHint: 'Drop files anywhere on this page, or choose them here. Each becomes a project; layers stay layers.',
  formats: 'PSD, OpenRaster, ZIP of layers, PNG, JPEG, WebP, TIFF, GIF, HEIC, AVIF, BMP',
  choose: 'Choose files', paste: 'Paste an image', pasted: 'Pasted', nothingToPaste: 'There is no image in the clipboard.'
}

const dropping = {
  project: 'Open as a project', projects: 'Open each as a project', layer: 'Add as a layer', layers: 'Add each as a layer',
  layerNote: 'PSD, OpenRaster and ZIP files become projects of their own',
  opening: (name: string) => `Opening ${name}`
}

const tour = {
  title: 'Three things to try', intro: 'Each takes a few seconds, with the small models that are part of the program.', end: 'Do not show this again',
  before: {
    make: 'Words become an image: “a red star on a white background”.',
    change: 'An image changes as it is told: “change the color of the red star to green”. A painted mask keeps the rest to the bit.',
    apart: 'A flat image becomes layers with transparency. Each can be taken apart again.'
  },
  after: {
    make: 'The prompt, the seed and every setting stay with the image.',
    change: 'A change is a layer of its own: nothing is painted over.',
    apart: 'The first is the whole image; the others are its layers. Move, hide, blend or export them as PSD.'
  },
  do: { make: 'Make a star', change: 'Make it green', apart: 'Take a scene apart' },
  result: { make: 'A red star', change: 'The star, changed', apart: 'The scene and its layers' },
  open: 'Open in the editor', star: 'A star', green: 'A green star', scene: 'Star and circle'
}

const header = {
  menu: (name: string) => `Menu of ${name}`, rename: 'Rename project', docs: 'API reference', queue: 'Queue', offline: 'Offline',
  queueFacts: (n: number, paused: boolean) => `Queue: ${n === 0 ? 'empty' : n === 1 ? '1 job' : `${n} jobs`}${paused ? ', paused' : ''}`,
  zoom: (now: string) => `Zoom: ${now}`,
  view: { rulers: 'Rulers', grid: 'Pixel grid', snap: 'Snap' },
  model: (now: string) => `Model: ${now}`, noModel: 'No model loaded', unload: 'Unload the model', unloading: 'Unloading', loading: (id: string) => `Loading ${id}`,
  tasks: { generate: 'makes', edit: 'changes', layers: 'takes apart', caption: 'describes' },
  notReady: (what: string, state: string) => `${what}: ${({ away: 'its disk is not there', missing: 'files are missing', changed: 'files have changed', incomplete: 'not whole yet' } as Record<string, string>)[state] ?? state}`,
  embedded: (what: string) => `${what}, part of the program`,
  fits: (what: string, size: string) => `${size}, ${what}, fits`,
  streams: (what: string, size: string, room: string) => `${size}, ${what}, larger than ${room}: parts are streamed`
}

const memory = {
  title: (says: string) => `Memory: ${says}`, idle: 'idle', unknown: 'The server has not told yet.', budget: 'Budget of the device', automatic: 'By the device', own: (b: string) => `Set to ${b}`, reset: 'Reset',
  device: 'Device', noDevice: 'opened by the first job', engines: 'Engines', engine: (n: number, name: string | null) => `${n} · ${name ?? 'not opened yet'}`, used: 'In use', peak: 'Peak', engaged: 'At work', nothing: 'nothing', host: 'Host memory', program: 'This program', load: 'Processors',
  components: { load: 'reading weights', text: 'text encoder', encode: 'image encoder', steps: 'transformer', decode: 'image decoder' },
  programBytes: (own: string, mapped: string) => `${own}, and ${mapped} of files`,
  loadOf: (load: number, cpus: number) => `${cpus}, load ${load.toFixed(1)}`
}

const exporting = {
  format: 'Format', formats: { png: 'PNG', jpeg: 'JPEG', webp: 'WebP', psd: 'PSD', ora: 'OpenRaster', pptx: 'PPTX', zip: 'ZIP' },
  about: {
    png: 'One image, every pixel as it is, with transparency.', jpeg: 'One small image without transparency, on a background.',
    webp: 'One image, smaller than PNG, with transparency.', psd: 'Layers, groups, masks and blend modes, for Photoshop and others.',
    ora: 'Layers, groups and blend modes, for Krita, GIMP and others.', pptx: 'A slide with an image for each layer, to be arranged there.',
    zip: 'Each layer as PNG, with a list of where it lies and how it is drawn.'
  },
  what: 'What', all: 'Everything that is visible', selected: (n: number) => n === 0 ? 'Selected layers (none is selected)' : n === 1 ? 'The selected layer' : `The ${n} selected layers`,
  scale: 'Scale', trim: 'Trim transparent edges', lossless: 'Lossless', quality: 'Quality', background: 'Background', metadata: 'Say how it was made',
  preview: 'Preview of the file', making: 'Making the file', empty: 'There is nothing to show yet.', unknownSize: 'Size follows',
  receivedOf: (share: string, all: string) => `${share} of ${all}`,
  download: 'Download', copy: 'Copy to the clipboard', copied: 'The image is in the clipboard.', saved: (name: string, size: string) => `${name} was saved, ${size}.`
}

const theme = { title: 'Theme', system: 'As the system', dark: 'Dark', light: 'Light', command: (name: string) => `Theme: ${name.toLowerCase()}` }

const airgap = {
  title: 'Air gap', badge: 'Air gap',
  intro: 'The program connects to nothing. It has no telemetry and no update check, and is linked with no network client. Models are fetched by another program, which can run on another machine.',
  page: 'What this page sees',
  allHere: (n: number, host: string) => `All ${n} requests of this page went to ${host}, and nowhere else.`,
  elsewhere: (n: number) => `${n} requests of this page went elsewhere: an extension of the browser may have made them.`,
  policy: 'The server lets this page talk to itself alone: its Content-Security-Policy names no other address.',
  noPolicy: 'A proxy in between has taken away or changed the Content-Security-Policy of this page.',
  loopback: (host: string) => `The server listens at ${host}, which other machines cannot reach.`,
  reachable: (host: string) => `The server answers at ${host}, which other machines can reach. It asks them for its token.`,
  program: (name: string) => name ? `What ${name} gives up before it works` : 'What the program gives up before it works',
  given: [
    'New sockets, but those between programs of this machine: a seccomp filter over all threads refuses them.',
    'Connecting and binding over TCP, also for sockets that are open: Landlock, since Linux 6.7.',
    'io_uring and the descriptors of other processes: the same filter.',
    'Capabilities but those about files, locked memory and priorities; privileges of programs that are started.'
  ],
  exceptions: 'This cannot be undone and child processes inherit it. Workers on other machines (--rpc) and --no-sandbox are exceptions; the log says so at the start.',
  check: 'Check it yourself', checkHow: 'In a terminal on the machine of the server. The first tries every way to the network and prints the kernel\u2019s answers; its exit code is 1 if anything went through.',
  copy: 'Copy the command', copied: 'The command is in the clipboard.'
}

const palette = { find: 'Find a command, project or model', projects: 'Project', models: 'Model', load: (id: string) => `Load ${id}`, nothing: (q: string) => `Nothing is called “${q}”.` }

const settings = {
  rooms: { looks: 'Looks', models: 'Models', memory: 'Memory', prompts: 'Prompts', kept: 'Storage' },
  canvas: 'Canvas', tour: 'First steps', showTour: 'Show the tour while there is no project',
  automatic: 'Automatic', automaticHow: 'The first one that is ready, or the one that the server was started with.', forImages: 'Makes and changes', forLayers: 'Takes apart, describes',
  moreModels: 'In a terminal, “veetance-fetch list” shows which models there are, and “veetance models list” those that are here.',
  presetsHow: 'Chosen with the bookmark beside a prompt. Kept by the server, for every browser that opens it.',
  presetName: (n: number) => `Name of preset ${n}`, presetWords: (name: string) => `Words of ${name}`, presetRemove: (name: string) => `Delete ${name}`,
  presetNew: (n: number) => `Preset ${n}`, presetAdd: 'New preset', presetGone: (name: string) => `“${name}” was deleted.`,
  projects: 'Projects', images: 'Images', imagesOf: (n: number, size: string) => `${n}, ${size}`, jobs: 'Jobs', database: 'Database', tidiedLast: 'Tidied', notYet: 'not yet',
  limits: 'What is kept', jobDays: 'Ended jobs', jobsKept: 'Ended jobs, at most', assetDays: 'Unused images', bytesKept: 'All images together', days: 'days',
  limitsHow: '0 keeps everything. What a project uses is never deleted.', tidy: 'Tidy up now',
  tidied: (images: number, jobs: number, size: string) => `${images} images and ${jobs} jobs went, ${size}.`,
  files: 'Files', saysHow: 'Images that are made say how', saysHowHow: 'Each has its prompt and settings in it, and the mark of IPTC that a model made it. Off, the file says nothing; the history still knows.',
  folders: 'Folders', foldersHow: 'Where images, projects and models lie is set when the server starts: “veetance serve --store FOLDER”, or VEETANCE_HOME for all of it. “veetance doctor” names the folder and what is free there.'
}

const connection = {
  lost: 'The server does not answer.', waits: 'Changes wait here and are sent when it does.',
  locked: 'This server wants its token', lockedHow: 'It can be reached from other machines, so it asks everyone. Open it with the token in the address, or enter it here; the browser then keeps it.',
  token: 'Token', open: 'Open', lockedWhere: 'The token is what stands in the file that the server was started with: veetance serve --token FILE.'
}

const broken = { says: 'This part has stopped working. The rest goes on, and nothing that was saved is lost.', again: 'Show it again', reload: 'Reload the page' }

const pointer = {
  title: 'Pointer',
  rows: [
    { title: 'Pan', keys: ['Space', 'Drag'] }, { title: 'Zoom to the cursor', keys: ['Wheel'] }, { title: 'Change a number', keys: ['Drag its name'] },
    { title: 'Tens instead of ones', keys: ['Shift'] }, { title: 'Do a sum in a number', keys: ['512*2'] }
  ]
}


const masks = {
  brush: 'Mask brush', eraser: 'Mask eraser', lasso: 'Mask lasso', rectangle: 'Mask rectangle', wand: 'Mask by color',
  size: 'Size', hardness: 'Hardness', veil: 'Veil', tolerance: 'Tolerance', contiguous: 'Only what hangs together',
  areaHint: 'Shift adds, Alt takes away', invert: 'Invert the mask', clear: 'Clear the mask', grow: 'Grow the mask by 4 px', shrink: 'Shrink the mask by 4 px',
  feather: 'Feather the mask by 4 px', fromLayer: 'Mask from the layer', nothing: 'The layer shows nothing on the canvas.',
  smaller: 'Smaller brush', larger: 'Larger brush', softer: 'Softer brush', harder: 'Harder brush', swap: 'Swap painting and erasing'
}

export const text = {
  canvas, masks,
  splitter: 'Border between the panels',
  product: 'Veetance Asset Editor',
  home, creating, dropping, tour, header, memory, theme, airgap, exporting, palette, pointer, settings, connection, broken,
  failed: 'That did not work.',
  newGroup: 'Group',
  newProject: 'New project',
  untitled: 'Untitled',
  close: 'Close',
  cancel: 'Cancel',
  bringBack: 'Bring back',
  copyOf: (name: string) => name ? `${name} copy` : 'copy',
  make, loras, presets, plan, queue, staging,
  change, mask, finish, apart,
  undo, save, task, tasks, stage, state, commands, groups, history, blend, layers
}
