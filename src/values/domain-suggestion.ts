/** Big mailbox providers whose misspellings lose the most sign-ups. */
const PROVIDERS = [
  'gmail.com',
  'googlemail.com',
  'yahoo.com',
  'hotmail.com',
  'outlook.com',
  'icloud.com',
  'live.com',
  'msn.com',
  'aol.com',
  'comcast.net',
  'verizon.net',
  'proton.me',
  'protonmail.com',
  'fastmail.com',
  'zoho.com',
  'yandex.com',
] as const;

/** Real mail domains one or two letters away from a provider. */
const REAL_NEIGHBOURS: ReadonlySet<string> = new Set(
  'mail.com email.com ymail.com hmail.com fmail.com zmail.com gmail.co.uk rocketmail.com protonmail.ch proton.com'.split(
    ' ',
  ),
);
/** Endings that are real but are typed by mistake for .com far more often than on purpose. */
const SUSPECT_ENDINGS: ReadonlySet<string> = new Set(['co', 'cm', 'om']);
/** Below this many letters a neighbour is as likely another company's name. */
const SHORTEST_FUZZY_NAME = 5;
const SHORTEST_TWO_ERROR_NAME = 6;
const MAX_DISTANCE = 2;

/**
 * The big provider a mistyped domain probably means (`gmial.com` → `gmail.com`), or null. A hint to show beside the
 * field, never a reason to refuse: `domain` may be real.
 */
export function suggestDomain(domain: string): string | null {
  const typed = domain.trim().toLowerCase();
  if (REAL_NEIGHBOURS.has(typed) || PROVIDERS.some((provider) => provider === typed)) return null;
  let best: { provider: string; distance: number } | null = null;
  for (const provider of PROVIDERS) {
    const distance = domainDistance(typed, provider);
    if (distance <= MAX_DISTANCE && (best === null || distance < best.distance))
      best = { provider, distance };
  }
  return best?.provider ?? null;
}

function domainDistance(typed: string, provider: string): number {
  const [name, ending] = splitAtDot(provider);
  const [typedName, typedEnding] = splitAtDot(typed);
  if (typedEnding === '') {
    // `gmailcom`: the dot was missed.
    return typed === name + ending ? 1 : Number.POSITIVE_INFINITY;
  }
  const nameDistance = editDistance(typedName, name);
  const endingDistance = editDistance(typedEnding, ending);
  // hotmail.de or yahoo.es are those providers' own country domains.
  const isCountry = typedEnding.length === 2 && !SUSPECT_ENDINGS.has(typedEnding);
  if (endingDistance > 0 && (isCountry || endingDistance > 1)) return Number.POSITIVE_INFINITY;
  if (nameDistance > 0 && name.length < SHORTEST_FUZZY_NAME) return Number.POSITIVE_INFINITY;
  if (nameDistance > 1 && (name.length < SHORTEST_TWO_ERROR_NAME || typedName[0] !== name[0])) {
    return Number.POSITIVE_INFINITY;
  }
  return nameDistance + endingDistance;
}

function splitAtDot(domain: string): [string, string] {
  const dot = domain.indexOf('.');
  return dot < 0 ? [domain, ''] : [domain.slice(0, dot), domain.slice(dot + 1)];
}

/** Damerau-Levenshtein distance (optimal string alignment): insert, delete, replace, swap neighbours. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return Number.POSITIVE_INFINITY;
  const cost = (row: readonly number[], column: number): number => row[column] ?? Number.POSITIVE_INFINITY;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = cost(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? cost(beforeLast, j - 2) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(replace, swap, cost(last, j) + 1, cost(row, j - 1) + 1));
    }
    [beforeLast, last] = [last, row];
  }
  return cost(last, b.length);
}
