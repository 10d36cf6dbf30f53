export function Staging () { return null }
