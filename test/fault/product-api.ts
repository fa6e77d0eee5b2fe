import { freePort } from '../../src/infra/free-port.js';
import { comesTrue } from './patience.js';
import type { World } from './world.js';

const API_KEY = 'the-key-of-the-fault-scenarios';

/** The product's own addresses, as its owner and its readers use them. */
export interface ProductApi {
  /** Of the process, and of another that is to take its place. */
  env: Readonly<Record<string, string>>;
  base: string;
  /** As the owner. Throws with what the product says when it refuses. */
  owner<T>(method: string, path: string, body?: object): Promise<T>;
  /** A form that a reader or their mail provider sends. */
  reader(path: string, form: Readonly<Record<string, string>>): Promise<void>;
}

/** Starts a worker that answers requests, too. */
export async function startWithApi(world: World): Promise<ProductApi> {
  const port = await freePort();
  const env = { ROLES: 'web,worker', PORT: String(port), HOST: '127.0.0.1', API_KEY };
  await world.start(1, { env });
  const base = `http://127.0.0.1:${port}`;
  // It listens for wake-ups before it does for requests.
  const answers = async (): Promise<boolean> =>
    fetch(`${base}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await comesTrue(answers))) throw new Error(`nobody answers at ${base}`);
  const good = async (answer: Response): Promise<string> => {
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.url} answered ${answer.status}: ${text.slice(0, 300)}`);
    return text;
  };
  return {
    env,
    base,
    owner: async <T>(method: string, path: string, body?: object) => {
      const headers = {
        authorization: `Bearer ${API_KEY}`,
        ...(body && { 'content-type': 'application/json' }),
      };
      const sent = { method, headers, ...(body && { body: JSON.stringify(body) }) };
      const text = await good(await fetch(`${base}/api/v1/${path}`, sent));
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
    reader: async (path, form) => {
      await good(await fetch(`${base}/${path}`, { method: 'POST', body: new URLSearchParams(form) }));
    },
  };
}
