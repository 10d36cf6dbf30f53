/* fuzzy.ts - finds by parts of a name: "exp" and "eop" both find "Export project". */

export interface Match {
  score: number // higher is better
  at: number[] // where in the name the letters were found
}

const START = 8 // of a word
const NEXT = 9 // directly behind the letter before
const SKIPPED = -0.2 // for each letter in between

const isStart = (s: string, i: number): boolean => i === 0 || !/[\p{L}\p{N}]/u.test(s[i - 1] ?? '')

/* The best way to find every letter of `query` in order in `name`, or null. */
export function fuzzy (query: string, name: string): Match | null {
  const q = query.toLowerCase().replace(/\s+/g, '')
  const s = name.toLowerCase()
  if (q.length > s.length) return null
  let best: (Match | null)[] = Array.from({ length: s.length }, () => null)
  for (let k = 0; k < q.length; k++) {
    const row: (Match | null)[] = Array.from({ length: s.length }, () => null)
    for (let i = k; i < s.length; i++) {
      if (s[i] !== q[k]) continue
      row[i] = k === 0 ? { score: worth(s, i, -1), at: [i] } : longest(best, s, i)
    }
    best = row
  }
  if (q.length === 0) return { score: 0, at: [] }
  return best.reduce<Match | null>((a, b) => b && (!a || b.score > a.score) ? b : a, null)
}

function worth (s: string, i: number, before: number): number {
  if (before >= 0 && i === before + 1) return NEXT
  return (isStart(s, i) ? START : 0) + SKIPPED * (i - before - 1)
}

function longest (best: (Match | null)[], s: string, i: number): Match | null {
  let found: Match | null = null
  for (let j = 0; j < i; j++) {
    const b = best[j]
    if (!b) continue
    const score = b.score + worth(s, i, j)
    if (!found || score > found.score) found = { score, at: [...b.at, i] }
  }
  return found
}

/* Those that match, best first; of equals the earlier one. Without a query all of them, as they are. */
export function search<T> (query: string, list: T[], name: (item: T) => string): { item: T, match: Match }[] {
  return list.map((item) => ({ item, match: fuzzy(query, name(item)) }))
    .filter((r): r is { item: T, match: Match } => r.match !== null)
    .sort((a, b) => b.match.score - a.match.score)
}

/* Every word of the query, without case. */
export function hasWords (query: string, name: string): boolean {
  const s = name.toLowerCase()
  return query.toLowerCase().split(/\s+/).every((w) => s.includes(w))
}
