/** Begins the names by which an owner signs in again within the page that holds a form. */
const PREFIX = 'signIn.';
/** More fields than this no page of ours has. */
const MAX_FIELDS = 2_000;

/** A form that came without a session: what was typed, and the sign-in beside it. */
export interface KeptForm {
  /** In the order they were sent; a name may stand there more than once. */
  fields: { name: string; value: string }[];
  /** Null where nobody has tried to sign in yet. */
  credentials: { email: string; password: string } | null;
}

/** Null for a body that is no form, such as a file. */
export function keptForm(body: unknown): KeptForm | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null;
  if (typeof Reflect.get(body, 'pipe') === 'function') return null;
  const all = Object.entries(body).flatMap(([name, value]) =>
    [value as unknown].flat().flatMap((one) => (typeof one === 'string' ? [{ name, value: one }] : [])),
  );
  const typed = new Map(all.map(({ name, value }) => [name, value]));
  const [email, password] = [typed.get(`${PREFIX}email`), typed.get(`${PREFIX}password`)];
  return {
    fields: all.filter(({ name }) => !name.startsWith(PREFIX)).slice(0, MAX_FIELDS),
    credentials: email === undefined || password === undefined ? null : { email, password },
  };
}

/** The body as it would have come with a session. */
export function withoutSignIn(body: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !name.startsWith(PREFIX)));
}
