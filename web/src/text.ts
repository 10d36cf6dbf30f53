/* text.ts - every string that a person reads. One object a panel. */

const undo = {
  show: 'show', hide: 'hide', lock: 'lock', unlock: 'unlock', blend: 'blend mode', rename: 'rename', opacity: 'opacity', move: 'move',
  add: 'add layer', order: 'reorder', remove: 'delete layer', duplicate: 'duplicate', group: 'group', ungroup: 'ungroup',
  reassemble: 'one layer again', apart: 'take apart', selection: 'mask', transform: 'transform', crop: 'crop', mask: 'layer mask', project: 'rename project'
}

const canvas = {
  name: 'Canvas',
  rail: 'Tools',
  tools: { move: 'Move', hand: 'Hand', zoom: 'Zoom', crop: 'Crop' },
  grid: 'Pixel grid'
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
  remove: 'Delete', selectAll: 'Select all layers', fit: 'Fit', actual: '100 %', zoomIn: 'Zoom in', zoomOut: 'Zoom out',
  palette: 'Commands', shortcuts: 'Keyboard shortcuts', export: 'Export', settings: 'Settings', home: 'All projects', run: 'Run the open panel'
}

const groups = { edit: 'Edit', view: 'View', tools: 'Tools', layers: 'Layers', masks: 'Masks', candidates: 'Results', app: 'Editor' }

const history = { deleted: 'Deleted from the history.' }

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
  empty: 'Nothing here yet. Make an image, or drop one onto the canvas.', emptyAction: 'Make an image'
}

const make = {
  prompt: 'Prompt', promptHint: 'A lighthouse at dusk, seen from the sea', needPrompt: 'Say what the image should show.', size: 'Size', canvas: 'Canvas',
  width: 'Width', height: 'Height', swap: 'Swap width and height', steps: 'Steps', own: 'model\u2019s', seed: 'Seed', random: 'random',
  dice: 'New seed', lock: 'Keep the last seed', unlock: 'A new seed every time', count: 'Images', model: 'Model', automatic: 'Automatic', more: 'More',
  guidance: 'Guidance', tokens: 'Token limit', int8: 'Faster on the CPU, a little less exact (int8)', generate: 'Generate',
  noModel: 'No model here can do this.'
}

const presets = {
  label: 'Presets', none: 'No presets yet', save: 'Save these words as a preset', name: 'Name', keep: 'Save', remove: (name: string) => `Delete \u201c${name}\u201d`
}

const plan = {
  asking: 'Asking what it takes', about: (s: string) => `about ${s}`, unknown: 'time not known yet', resident: 'fits', streamed: 'streams weights', refused: 'does not fit',
  allow: (b: string) => `Allow ${b}`, smaller: 'Make it smaller'
}

export const text = {
  canvas,
  splitter: 'Border between the panels',
  product: 'Veetance Asset Editor',
  failed: 'That did not work.',
  newGroup: 'Group',
  newProject: 'New project',
  untitled: 'Untitled',
  close: 'Close',
  cancel: 'Cancel',
  copyOf: (name: string) => name ? `${name} copy` : 'copy',
  make, presets, plan,
  undo, save, task, tasks, stage, state, commands, groups, history, blend, layers
}
