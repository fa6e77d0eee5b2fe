import { generateKeyPairSync } from 'node:crypto';
import { dkimSignature } from '../../src/delivery/signing/dkim.js';

/** The product's signing stage by itself: the whole mail as it is before it is signed, over and over. */
export interface SignerTask {
  mail: string;
  seconds: number;
  /** Signatures under way at the same time. */
  atOnce: number;
}

export interface SignerResult {
  /** By the clock, on as many cores as it may use. */
  perSecond: number;
  /** Of processor time: what one core signs that does nothing else. */
  perProcessorSecond: number;
}

const WARM_UP_SECONDS = 0.5;

process.on('message', (task: SignerTask) => {
  void run(task).then((result) => process.send?.(result, () => process.exit(0)));
});

process.on('disconnect', () => process.exit(1));

async function run({ mail, seconds, atOnce }: SignerTask): Promise<SignerResult> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { domain: 'example.com', selector: 'bench', privateKey };
  const headEnd = mail.indexOf('\r\n\r\n') + 2;
  const headers = mail.slice(0, headEnd);
  const body = Buffer.from(mail.slice(headEnd + 2), 'latin1');
  const signFor = async (duration: number): Promise<number> => {
    const end = performance.now() + duration * 1000;
    let count = 0;
    const signer = async (): Promise<void> => {
      for (; performance.now() < end; count++) await dkimSignature(key, { headers, body }, new Date());
    };
    await Promise.all(Array.from({ length: atOnce }, signer));
    return count;
  };
  await signFor(WARM_UP_SECONDS);
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
  const count = await signFor(seconds);
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: count / ((performance.now() - startedMs) / 1000),
    perProcessorSecond: count / ((user + system) / 1e6),
  };
}
