/** Red, green, blue; 0 to 255 each. */
export type Colour = readonly [number, number, number];

const NAMES: Readonly<Record<string, Colour>> = {
  white: [255, 255, 255],
  black: [0, 0, 0],
  silver: [192, 192, 192],
  gray: [128, 128, 128],
  grey: [128, 128, 128],
  red: [255, 0, 0],
  green: [0, 128, 0],
  blue: [0, 0, 255],
  navy: [0, 0, 128],
  yellow: [255, 255, 0],
  whitesmoke: [245, 245, 245],
  lightgray: [211, 211, 211],
  lightgrey: [211, 211, 211],
};

/** What lies behind a paler one is what is seen. */
const LEAST_ALPHA = 0.1;

/** The first colour in a CSS value; null when there is none that is known or seen, as in `inherit`, `rgba(0,0,0,0)` or `url(…)`. */
export function colourOf(value: string | undefined): Colour | null {
  const text = (value ?? '').trim().toLowerCase();
  const [, hex] = /#([0-9a-f]{6}|[0-9a-f]{3})\b/.exec(text) ?? [];
  if (hex !== undefined) {
    const wide = hex.length === 3 ? hex.replace(/./g, '$&$&') : hex;
    const channel = (at: number): number => Number.parseInt(wide.slice(at, at + 2), 16);
    return [channel(0), channel(2), channel(4)];
  }
  const [, r, g, b, alpha = '1', percent = ''] =
    /rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,/]+(\d*\.?\d+)(%?))?/.exec(text) ?? [];
  if (Number(alpha) * (percent === '' ? 1 : 0.01) < LEAST_ALPHA) return null;
  if (r !== undefined) return [Number(r), Number(g), Number(b)];
  for (const word of text.split(/[\s,]+/)) if (Object.hasOwn(NAMES, word)) return NAMES[word] ?? null;
  return null;
}

/** WCAG 2's contrast ratio: 1 for the same colour, 21 for black on white. */
export function contrast(a: Colour, b: Colour): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

function luminance([red, green, blue]: Colour): number {
  const linear = (channel: number): number => {
    const share = channel / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}
