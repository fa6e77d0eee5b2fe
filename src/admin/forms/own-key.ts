/** Letters without their marks and signs: `Größe (cm)` gives `Große cm`. */
function plainWords(title: string): string[] {
  return title
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '');
}

/** A key for something of this title: `Readers of Vienna` gives `readers-of-vienna`; empty when no letter is left. */
export function keyOfTitle(title: string): string {
  return plainWords(title).join('-').toLowerCase().slice(0, 60).replace(/-$/, '');
}

/** A key for a field of this label: `Shoe size` gives `shoeSize`; empty when none can be made of it. */
export function fieldKeyOf(label: string): string {
  const [first = '', ...rest] = plainWords(label).map((word) => word.toLowerCase());
  const key = [first, ...rest.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)].join('');
  return key
    .replace(/^[0-9]+/, '')
    .replace(/^[A-Z]/, (letter) => letter.toLowerCase())
    .slice(0, 50);
}
