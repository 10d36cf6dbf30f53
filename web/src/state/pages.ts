/* pages.ts - lists that are read in pages. Pure. */

/* The newest page, and behind it what is older of what was there. */
export function newerAndOld<T extends { id: string, created_ms: number }> (page: T[], old: T[]): T[] {
  const last = page[page.length - 1]
  if (!last) return old
  const ids = new Set(page.map((x) => x.id))
  return [...page, ...old.filter((x) => x.created_ms <= last.created_ms && !ids.has(x.id))]
}

/* Which of `n` items of `pitch` pixels are to be drawn, with some at both sides. */
export function rangeOf (scroll: number, width: number, pitch: number, n: number, beyond = 6): { from: number, to: number } {
  const from = Math.max(0, Math.floor(scroll / pitch) - beyond)
  return { from: Math.min(from, n), to: Math.min(n, Math.ceil((scroll + width) / pitch) + beyond) }
}
