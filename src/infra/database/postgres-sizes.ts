const MB = 2 ** 20;
const GB = 2 ** 30;

/** What PostgreSQL takes where nothing is said. */
const LEAST_BUFFERS = 128 * MB;
const MOST_BUFFERS = 512 * MB;
const LEAST_LOG = GB;
const MOST_LOG = 4 * GB;

/**
 * Settings of the built-in PostgreSQL by what the machine has, each left to PostgreSQL's default where the machine is small.
 *
 * `shared_buffers`: an eighth of the memory, at most 512 MB. With the 128 MB of the default, who writes a million mails
 * keeps writing out pages that are about to be changed again.
 *
 * `max_wal_size`: a twentieth of the free disk, at most 4 GB: so much the log may take. A million planned mails write
 * about two gigabytes of it; with the default of one they met several checkpoints, and behind each of them every page is
 * written whole once more. The price is a longer replay after a power cut.
 *
 * @param memoryBytes of the machine, or of the container if that has less
 * @param freeDiskBytes where the cluster is
 */
export function settingsFor({
  memoryBytes,
  freeDiskBytes,
}: {
  memoryBytes: number;
  freeDiskBytes: number;
}): Record<string, string> {
  const buffers = Math.min(memoryBytes / 8, MOST_BUFFERS);
  const log = Math.min(freeDiskBytes / 20, MOST_LOG);
  return {
    ...(buffers > LEAST_BUFFERS ? { shared_buffers: megabytes(buffers) } : {}),
    ...(log > LEAST_LOG ? { max_wal_size: megabytes(log), checkpoint_timeout: '15min' } : {}),
  };
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MB)}MB`;
}
