/* ids.ts - identifiers that nobody else makes. */
export function newId (prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10))
  return prefix + [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')
}
