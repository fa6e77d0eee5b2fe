/** Who a request under `/api/v1` was let in as: the id of an API key, `0` for the key of the environment. */
export const ENVIRONMENT_KEY_ID = '0';

// Beside the request rather than on it: nothing a plugin or a body sets can claim to be a caller.
const callers = new WeakMap<object, string>();

export function rememberCaller(request: object, apiKeyId: string): void {
  callers.set(request, apiKeyId);
}

/** `undefined` on routes that are reached without a key. */
export function callerOf(request: object): string | undefined {
  return callers.get(request);
}
