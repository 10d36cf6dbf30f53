/* format.ts - numbers as people read them. */

export function bytes (n: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let u = 0
  for (; n >= 1000 && u < units.length - 1; u++) n /= 1000
  return `${n >= 100 || u === 0 ? Math.round(n) : n.toFixed(1)} ${units[u] ?? ''}`
}

/* Of two amounts that are compared, in the unit of the second: "9.4 of 16 GB". */
export function bytesOf (part: number, whole: number): string {
  const [number = '', unit = ''] = bytes(whole).split(' ')
  const scale = whole > 0 ? Number(number) / whole : 0
  const v = part * scale
  return `${v < 0.05 || v >= 100 ? Math.round(v) : v.toFixed(1)} of ${number} ${unit}`
}

export function seconds (s: number): string {
  if (s < 10) return `${Math.max(0.1, s).toFixed(1)} s`
  if (s < 90) return `${Math.round(s)} s`
  if (s < 5400) return `${Math.round(s / 60)} min`
  return `${(s / 3600).toFixed(1)} h`
}

export function percent (v: number): string {
  return `${Math.round(100 * v)} %`
}

/* "today 14:02", "yesterday", "3 Nov". */
export function date (ms: number, now = Date.now()): string {
  const d = new Date(ms)
  const days = Math.floor((new Date(now).setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86400000)
  if (days === 0) return `today ${String(d.getHours()).padStart(2, '0')}:${String(d.getMinutes()).padStart(2, '0')}`
  if (days === 1) return 'yesterday'
  const month = d.toLocaleDateString('en', { month: 'short', day: 'numeric' })
  return d.getFullYear() === new Date(now).getFullYear() ? month : `${month} ${d.getFullYear()}`
}

/* Long names are cut in the middle. */
export function middle (s: string, most = 32): string {
  if ([...s].length <= most) return s
  const c = [...s]
  const head = Math.ceil((most - 1) / 2)
  return `${c.slice(0, head).join('')}…${c.slice(c.length - (most - 1 - head)).join('')}`
}

const KEYS: Record<string, string> = {
  ArrowLeft: '\u2190', ArrowRight: '\u2192', ArrowUp: '\u2191', ArrowDown: '\u2193', Escape: 'Esc', Delete: 'Del', ' ': 'Space'
}

/* A shortcut as it stands on the keys: "Ctrl+Shift+ArrowUp" is "Ctrl+Shift+\u2191", or "\u2318" for "Ctrl" on a Mac. */
export function keyLabel (name: string, mac = typeof navigator !== 'undefined' && navigator.platform.startsWith('Mac')): string {
  const key = Object.keys(KEYS).find((k) => name.endsWith(k))
  const shown = key ? name.slice(0, -key.length) + (KEYS[key] ?? '') : name
  return mac ? shown.replace('Ctrl+', '\u2318').replace('Shift+', '\u21e7').replace('Alt+', '\u2325') : shown
}
