/* command_line.ts - a request as the command that makes the same image, for a POSIX shell. Pure. */
import type { JobKind } from '../api/types.ts'
import type { Lora, Request } from './requests.ts'

const PLAIN = /^[A-Za-z0-9_./:=,+@%-]+$/

/* One word for the shell, whatever is in it. */
export function quoted (word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

type Row = [member: string, option: string]

const IMAGE: Row[] = [
  ['model', '-m'], ['prompt', '-p'], ['width', '-W'], ['height', '-H'], ['steps', '--steps'], ['seed', '--seed'], ['guidance', '--guidance'],
  ['max_tokens', '--max-tokens'], ['compute', '--compute'], ['fast', '--fast'], ['transparent', '--transparent'], ['no_metadata', '--no-metadata']
]
const EDIT: Row[] = [['mask', '--mask'], ['strength', '--strength'], ['extend', '--extend'], ['feather', '--feather'], ['mask_invert', '--mask-invert'], ['mask_grow', '--mask-grow'],
  ['mask_feather', '--mask-feather'], ['crop_to_mask', '--crop-to-mask'], ['crop_padding', '--crop-padding'], ['match_colours', '--match-colours'], ['register', '--register'], ['matte', '--matte']]
const LAYERS: Row[] = [
  ['model', '-m'], ['layers', '-n'], ['prompt', '-p'], ['negative_prompt', '--negative-prompt'], ['guidance', '--guidance'], ['cfg', '--guidance'], ['cfg_normalize', '--cfg-normalize'], ['steps', '--steps'],
  ['resolution', '--resolution'], ['seed', '--seed'], ['language', '--language'], ['keep_empty', '--keep-empty'], ['merge_duplicates', '--merge-duplicates'],
  ['full_size', '--full-size'], ['matte', '--matte'], ['compute', '--compute'], ['fast', '--fast'], ['no_metadata', '--no-metadata']
]
const COMMANDS: Record<JobKind, { name: string, rows: Row[] }> = {
  generate: { name: 'generate', rows: IMAGE },
  edit: { name: 'edit', rows: [...IMAGE, ...EDIT] },
  layers: { name: 'layers', rows: LAYERS },
  caption: { name: 'caption', rows: [['model', '-m'], ['language', '--language']] }
}

function option (name: string, value: unknown): string[] {
  if (value === null || value === undefined || value === false) return []
  if (value === true) return [name]
  return [name, quoted(Array.isArray(value) ? value.join(',') : String(value))]
}

function loraWords (list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return (list as Lora[]).flatMap((l) => ['--lora', quoted(`${l.name}:${l.strength}`)])
}

/* The files that the request names; `fileOf` says what each is called outside the store. */
export function commandLine (kind: JobKind, request: Request, fileOf: (asset: string) => string): string {
  const { name, rows } = COMMANDS[kind]
  const images = (request['images'] as string[] | undefined) ?? (request['image'] ? [String(request['image'])] : [])
  const words = ['veetance', name, ...images.flatMap((i) => ['-i', quoted(fileOf(i))])]
  for (const [member, opt] of rows) {
    const value = request[member]
    words.push(...option(opt, member === 'mask' && typeof value === 'string' ? fileOf(value) : value))
  }
  words.push(...loraWords(request['loras']))
  return words.join(' ')
}
