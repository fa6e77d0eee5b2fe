import { spawn } from 'node:child_process';
import { chownSync, existsSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { freePort } from '../../src/infra/free-port.js';
import { makeQuickFolder } from './memory-folder.js';

const DOVECOT = '/usr/sbin/dovecot';
const PASSWORD = 'secret-of-the-test';
const START_MS = 20_000;

/** Whether the IMAP tests can run; without dovecot they are left out with a reason, unless CI_REQUIRE_IMAP=1 forbids that. */
export function hasDovecot(): boolean {
  if (existsSync(DOVECOT)) return true;
  if (process.env.CI_REQUIRE_IMAP === '1') throw new Error(`CI_REQUIRE_IMAP=1, and ${DOVECOT} is not there.`);
  console.log(`Left out: the bounce mailbox over IMAP, as there is no ${DOVECOT} (Debian: dovecot-imapd).`);
  return false;
}

export interface Dovecot {
  /** For BOUNCE_IMAP_URL; each user has a mailbox of its own, which comes into being at the first login. */
  url(user: string): string;
  /** Puts so many copies of a mail into the inbox of a user, as a delivery on the server does. */
  fill(user: string, count: number, mail: string): Promise<void>;
  close(): Promise<void>;
}

/** A private IMAP server on loopback, as root or as an ordinary user. `extra`: more of its configuration. */
export async function openDovecot(extra = ''): Promise<Dovecot> {
  const [dir, port] = [await makeQuickFolder('wellspring-dovecot-'), await freePort()];
  await writeFile(join(dir, 'dovecot.conf'), await configuration(dir, port, extra));
  const server = spawn(DOVECOT, ['-F', '-c', join(dir, 'dovecot.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  server.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(server, 'exit');
  const close = async (): Promise<void> => {
    if (server.exitCode === null) server.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  let listening = false;
  await becomesTrue(async () => {
    listening = server.exitCode === null && (await answers(port));
    return listening || server.exitCode !== null;
  }, START_MS);
  if (!listening) {
    await close();
    throw new Error(`dovecot did not start: ${said}`);
  }
  return {
    url: (user) => `imap://${user}:${PASSWORD}@127.0.0.1:${port}/INBOX`,
    fill: async (user, count, mail) => fillMaildir(join(dir, 'mail', user), count, mail),
    close,
  };
}

async function fillMaildir(box: string, count: number, mail: string): Promise<void> {
  const { uid, gid } = await stat(join(box, 'cur'));
  for (let at = 0; at < count; at++) {
    const path = join(box, 'cur', `${1_700_000_000 + at}.M${at}P1.test:2,`);
    writeFileSync(path, mail);
    chownSync(path, uid, gid);
  }
}

/** Started by root, dovecot wants to give up its rights; started by somebody else, it has none to give up. */
async function configuration(dir: string, port: number, extra: string): Promise<string> {
  const mail = join(dir, 'mail');
  await mkdir(mail);
  const own = userInfo();
  const root = own.uid === 0;
  const [internal, login] = root ? ['dovecot', 'dovenull'] : [own.username, own.username];
  const [uid, gid] = root ? [idOf('-u', login), idOf('-g', login)] : [own.uid, own.gid];
  if (root) {
    await chmod(dir, 0o755);
    await chown(mail, uid, gid);
  }
  return `base_dir = ${dir}/run
state_dir = ${dir}/run
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = ${internal}
default_internal_group = ${root ? internal : execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim()}
default_login_user = ${login}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:${mail}/%u
mail_fsync = never
auth_failure_delay = 0
service imap-login {
  chroot =
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
  # Who has said a wrong password once is not made to wait for it at the next.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
passdb {
  driver = static
  args = password=${PASSWORD}
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${mail}/%u
}
${extra}
`;
}

function idOf(which: '-u' | '-g', user: string): number {
  return Number(execFileSync('id', [which, user], { encoding: 'utf8' }));
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });
}
