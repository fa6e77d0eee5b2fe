/**
 * The HEALTHCHECK of the image: whether `/healthz` answers, which says nothing of the database, so that nobody restarts a
 * process for an outage that it sits out. A process without the role `web` has no address to ask; it ends when it cannot go on.
 */
const { PORT, ROLES } = process.env;

if (!ROLES || ROLES.includes('web')) {
  const answer = await fetch(`http://127.0.0.1:${PORT || 3000}/healthz`).catch(() => null);
  process.exitCode = answer?.ok ? 0 : 1;
}
