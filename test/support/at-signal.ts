const cleanUps = new Set<() => void>();

/**
 * What must not outlive this program when it is interrupted: child processes, a server, folders. Only work that needs
 * no waiting. Call the answer once the ordinary way has done it.
 */
export function atSignal(cleanUp: () => void): () => void {
  if (cleanUps.size === 0) for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  cleanUps.add(cleanUp);
  return () => cleanUps.delete(cleanUp);
}

function end(): void {
  for (const cleanUp of cleanUps) cleanUp();
  process.exit(130);
}
