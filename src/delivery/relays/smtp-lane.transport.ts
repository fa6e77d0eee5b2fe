import type { RelayTrust } from '../../../config/relays.js';
import type { MailProvider } from '../../values/mail-providers.js';
import { isWatched, passing } from '../ledger/fault-points.js';
import type { SendOutcome } from '../message/message.js';
import { tagHeader } from './provider-tag.js';
import { COMMAND_LIMIT_MS, RelaySilent, SmtpSession, type SmtpReply } from './smtp-session.transport.js';

const MAX_REASON_CHARS = 500;
/** A relay that ends the connection after this time at a barrier of ours, which the database is slow to answer, is in its right. */
const KEPT_WAITING_MS = 10_000;
/** What may never stand between `<` and `>` of an envelope: it would end the address or the command. */
const NOT_IN_ENVELOPE = /[\p{Cc}\s<>]/u;

export interface OutgoingMail {
  id: string;
  from: string;
  to: string;
  /** RFC 6531: an address with signs beyond ASCII before the @. */
  needsSmtpUtf8: boolean;
  raw: Buffer;
  /** Octets of `raw` from its end in which no line begins with a dot, as our encoding leaves none; left out: any may. */
  dotless?: number;
  /** Names the mail in a provider's reports. */
  tag: string;
}

interface Asked {
  barrier: () => Promise<boolean>;
  following: () => OutgoingMail | null;
  slow: () => void;
}

type SmtpStage = 'MAIL FROM' | 'RCPT TO' | 'DATA' | 'BODY';

/** One connection to one relay, used for one mail after the other. Not for two at once. */
export class SmtpLane {
  #session: SmtpSession | null = null;
  /** Its envelope went out with the end of the mail before; the replies to it are still to be read. */
  #begun: OutgoingMail | null = null;
  #losesBegun = false;

  constructor(
    readonly relay: string,
    private readonly url: URL,
    private readonly provider: MailProvider | null = null,
    private readonly trust: RelayTrust = { tls: null, ca: null },
  ) {}

  /** TLS version and cipher of the connection in use, for the record. */
  get tls(): string | null {
    return this.#session?.tls ?? null;
  }

  /** Whether the mail that `following` named is at the relay with its envelope: `send` has to get it next. */
  get hasBegun(): boolean {
    return this.#begun !== null && this.#session?.alive === true;
  }

  /** It said PIPELINING, and never answered what had come with the end of a mail: it must be begun with nothing. */
  get losesBegun(): boolean {
    return this.#losesBegun;
  }

  /**
   * Sends one mail. `barrier` is asked after the relay's 354, when the next byte would be the body; when it says no, the
   * connection is cut before the final dot, so the relay has nothing (RFC 5321 §4.1.1.4).
   *
   * `following` is asked when the body goes out: the mail that comes next on this lane, if it is known. Its envelope is
   * written along with the final dot (RFC 2920 §3.1), which spares both sides a wait and a packet. It waits at its own
   * barrier like any other.
   *
   * `slow` is called at most once, when the relay has kept the mail for half a minute and not answered; the promise then
   * takes up to ten minutes. What was begun meanwhile is not at the relay for long: it should go by another lane.
   */
  async send(
    untagged: OutgoingMail,
    barrier: () => Promise<boolean>,
    following: () => OutgoingMail | null = () => null,
    slow: () => void = () => undefined,
  ): Promise<SendOutcome> {
    const begun = this.hasBegun && this.#begun?.id === untagged.id;
    if (!begun) this.abandon();
    const mail = tagged(untagged, this.provider);
    if (!fitsEnvelope(mail))
      return { kind: 'unsendable', reason: 'the address has a sign that no envelope may hold' };
    const reused = this.#session?.alive === true;
    const outcome = await this.attempt(mail, { barrier, following, slow, begun });
    // A relay may end an idle session at the very moment we use it again; that says nothing about the mail. Nor does a
    // farewell after so many mails on one connection.
    const ended = outcome.kind === 'not_sent' && outcome.stage === 'envelope';
    const farewell = outcome.kind === 'refused' && outcome.code === 421 && outcome.stage === 'MAIL FROM';
    return (reused && ended) || ((reused || begun) && farewell)
      ? this.attempt(mail, { barrier, following, slow, begun: false })
      : outcome;
  }

  /** The mail that was begun will not come. The relay waits for its body by now, so the connection is cut. */
  abandon(): void {
    if (this.#begun) this.#session?.destroy();
    this.#begun = null;
  }

  /** Not while a mail is on the way. */
  close(): void {
    this.abandon();
    this.#session?.quit();
    this.#session = null;
  }

  private async attempt(
    mail: OutgoingMail,
    { barrier, following, slow, begun }: Asked & { begun: boolean },
  ): Promise<SendOutcome> {
    this.#begun = null;
    let session: SmtpSession;
    try {
      session = await this.opened();
    } catch (error) {
      return openingFailed(error);
    }
    const refusal = beyondRelay(mail, session);
    if (refusal) return refusal;
    let stage: 'envelope' | 'barrier' | 'body' = 'envelope';
    try {
      const refused = await this.envelope(session, mail, begun);
      if (refused) return refused;
      passing('data-354', mail.id);
      stage = 'barrier';
      const askedMs = performance.now();
      if (!(await barrier())) {
        session.destroy();
        return { kind: 'held_back' };
      }
      if (!session.alive) return endedAtBarrier(performance.now() - askedMs);
      stage = 'body';
      writeBody(session, mail, this.envelopeOf(following(), session));
      const reply = await session.finalReply(slow);
      if (reply.code !== 250) return this.refusal('BODY', reply);
      passing('reply-250', mail.id);
      return { kind: 'accepted', code: reply.code, reply: reply.text.slice(0, MAX_REASON_CHARS) };
    } catch (error) {
      session.destroy();
      if (begun && stage === 'envelope' && error instanceof RelaySilent) this.#losesBegun = true;
      const reason = error instanceof Error ? error.message : String(error);
      return stage === 'body' ? { kind: 'unknown', reason } : { kind: 'not_sent', stage, reason };
    }
  }

  /** The commands of a mail that may be begun on this session before the one on the way is answered, else none. */
  private envelopeOf(next: OutgoingMail | null, session: SmtpSession): string {
    if (next === null || !session.extensions.pipelining) return '';
    const mail = tagged(next, this.provider);
    if (!fitsEnvelope(mail) || beyondRelay(mail, session)) return '';
    this.#begun = mail;
    return envelopeCommands(mail, session)
      .map(([, command]) => command)
      .join('');
  }

  /** One recipient per transaction, so that one reply is about one person. Null when the relay waits for the body. */
  private async envelope(
    session: SmtpSession,
    mail: OutgoingMail,
    begun: boolean,
  ): Promise<SendOutcome | null> {
    const commands = envelopeCommands(mail, session);
    const { pipelining } = session.extensions;
    if (pipelining && !begun) session.write(commands.map(([, command]) => command).join(''));
    let refused: SendOutcome | null = null;
    for (const [stage, command] of commands) {
      if (!pipelining) session.write(command);
      const reply = await session.replyWithin(COMMAND_LIMIT_MS);
      if (stage === 'MAIL FROM') passing('mail-from', mail.id);
      if (stage === 'RCPT TO') passing('rcpt', mail.id);
      if (stage === 'DATA' && reply.code === 354) {
        if (!refused) return null;
        // RFC 2920 §3.1: a relay that asks for the body of a mail without recipients gets an empty one.
        session.write('.\r\n');
        await session.replyWithin(COMMAND_LIMIT_MS).catch(() => session.destroy());
        return refused;
      }
      refused ??= isPositive(reply) ? null : this.refusal(stage, reply);
      // After a 421 no further reply comes.
      if (refused && !session.alive) return refused;
      if (refused && !pipelining) break;
    }
    // Else the next MAIL FROM would be a second one in the same transaction.
    await reset(session);
    return refused ?? this.refusal('DATA', { code: 0, text: 'the relay did not ask for the body' });
  }

  /** 421 and a reply that is none end the session; any other refusal leaves it fit for the next mail. */
  private refusal(stage: SmtpStage, { code, text }: SmtpReply): SendOutcome {
    const reply = text.slice(0, MAX_REASON_CHARS);
    if (code === 421 || code < 400) this.#session?.destroy();
    if (code < 400)
      return stage === 'BODY'
        ? { kind: 'unknown', reason: `unexpected reply ${code}` }
        : { kind: 'not_sent', stage: 'envelope', reason: `unexpected reply ${code}` };
    return { kind: 'refused', permanent: code >= 500, stage, code, reply };
  }

  private async opened(): Promise<SmtpSession> {
    if (this.#session?.alive) return this.#session;
    this.#session = await SmtpSession.open(this.url, this.trust);
    return this.#session;
  }
}

/** In front of everything else, so that no signature covers what the provider takes out again. */
function tagged(mail: OutgoingMail, provider: MailProvider | null): OutgoingMail {
  if (provider === null) return mail;
  return { ...mail, raw: Buffer.concat([Buffer.from(tagHeader(provider, mail.tag), 'latin1'), mail.raw]) };
}

function isPositive({ code }: SmtpReply): boolean {
  return code >= 200 && code < 400;
}

function fitsEnvelope({ from, to }: OutgoingMail): boolean {
  return !NOT_IN_ENVELOPE.test(from) && !NOT_IN_ENVELOPE.test(to);
}

function envelopeCommands(mail: OutgoingMail, session: SmtpSession): [SmtpStage, string][] {
  return [
    ['MAIL FROM', `MAIL FROM:<${mail.from}>${mailParameters(mail, session)}\r\n`],
    ['RCPT TO', `RCPT TO:<${mail.to}>\r\n`],
    ['DATA', 'DATA\r\n'],
  ];
}

function mailParameters({ raw, needsSmtpUtf8 }: OutgoingMail, { extensions }: SmtpSession): string {
  const size = extensions.maxSize === null ? '' : ` SIZE=${raw.length}`;
  return size + (needsSmtpUtf8 ? ' SMTPUTF8' : '');
}

/** What the relay has said beforehand that it cannot do. Its limit, not the person's: no address is blamed for it. */
function beyondRelay({ raw, needsSmtpUtf8 }: OutgoingMail, { extensions }: SmtpSession): SendOutcome | null {
  if (needsSmtpUtf8 && !extensions.smtpUtf8)
    return {
      kind: 'unsendable',
      reason: 'the relay cannot send to addresses beyond ASCII (SMTPUTF8)',
      beyondRelay: true,
    };
  if (extensions.maxSize !== null && raw.length > extensions.maxSize)
    return {
      kind: 'unsendable',
      reason: `the mail is larger than the ${extensions.maxSize} octets the relay takes`,
      beyondRelay: true,
    };
  return null;
}

/** `following`: commands that go out in the same packet, after the final dot. */
function writeBody(session: SmtpSession, mail: OutgoingMail, following: string): void {
  const { id } = mail;
  const stuffed = dotStuffed(mail);
  const dot = stuffed.subarray(-2).toString('latin1') === '\r\n' ? '.\r\n' : '\r\n.\r\n';
  const end = dot + following;
  if (isWatched()) {
    const half = stuffed.length >>> 1;
    session.write(stuffed.subarray(0, half));
    passing('body-half', id);
    session.write(stuffed.subarray(half), end);
  } else session.write(stuffed, end);
  passing('body-sent', id);
}

/** RFC 5321 §4.5.2. Of a mail of ours this is a look at its head and no copy. */
function dotStuffed({ raw, dotless = 0 }: OutgoingMail): Buffer {
  if (raw[0] !== 0x2e && !raw.subarray(0, raw.length - dotless).includes('\r\n.')) return raw;
  return Buffer.from(raw.toString('latin1').replace(/^\./gm, '..'), 'latin1');
}

/** No word about the relay, nor about the mail, when it was the database that kept both waiting. */
function endedAtBarrier(waitedMs: number): SendOutcome {
  return waitedMs >= KEPT_WAITING_MS
    ? {
        kind: 'not_sent',
        stage: 'kept waiting',
        reason: 'the relay did not wait as long as the database was away',
      }
    : { kind: 'not_sent', stage: 'barrier', reason: 'the connection ended before the body' };
}

async function reset(session: SmtpSession): Promise<void> {
  session.write('RSET\r\n');
  await session.replyWithin(COMMAND_LIMIT_MS).catch(() => session.destroy());
}

/** A refused login is our own trouble, as is a relay out of reach: the mail waits until it is put right. */
function openingFailed(error: unknown): SendOutcome {
  const { message, response, command, responseCode } = error as Error & {
    response?: string;
    command?: string;
    responseCode?: number;
  };
  const login = command?.startsWith('AUTH') === true || responseCode === 535;
  return {
    kind: 'not_sent',
    stage: login ? 'login' : 'connect',
    reason: (response ?? message).slice(0, MAX_REASON_CHARS),
  };
}
