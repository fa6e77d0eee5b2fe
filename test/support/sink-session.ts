import type { Socket } from 'node:net';
import type { CountingSink, SinkFault, SinkStage } from './counting-sink.js';

const CRLF = Buffer.from('\r\n');
const END_OF_MAIL = Buffer.from('\r\n.\r\n');
const OUT_OF_ORDER = '503 5.5.1 Out of order\r\n';
/** As much of a mail as is looked through for its Message-ID. */
const HEADER_BYTES = 16_384;

/** One client of the counting sink. Commands that came in one packet are answered in one packet (RFC 2920). */
export class SinkSession {
  #input: Buffer = Buffer.alloc(0);
  #output = '';
  #busy = false;
  #ended = false;
  #mode: 'command' | 'mail' = 'command';
  /** Of the transaction under way; empty until one is taken. */
  #recipient = '';
  #hasSender = false;
  #header: Buffer[] = [];
  #headerBytes = 0;
  /** The last bytes seen, as the end of a mail may lie across two packets. */
  #tail: Buffer = CRLF;
  #bodyBegun = false;
  /** A mail that was taken is answered later, if the client is still there. */
  #answerDue = false;

  constructor(
    private readonly socket: Socket,
    private readonly sink: CountingSink,
  ) {}

  begin(): void {
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.#ended = true;
      if (this.#answerDue) this.sink.unclear++;
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      if (!this.#busy) this.#work();
    });
    this.#at('connect', '', '220 sink.example.test ESMTP');
    this.#flush();
  }

  /** As when the machine of the relay is cut off. The mail that was on its way, if one was, has no end that the client knows. */
  hangUp(): void {
    if (!this.#answerDue) this.sink.unclear++;
    this.#ended = true;
    this.socket.resetAndDestroy();
  }

  #work(): void {
    while (!this.#busy && !this.#ended && this.#input.length > 0) {
      if (this.#mode === 'mail') {
        if (!this.#takeBody()) break;
      } else {
        const end = this.#input.indexOf(CRLF);
        if (end < 0) break;
        const line = this.#input.subarray(0, end).toString('latin1');
        this.#input = this.#input.subarray(end + 2);
        this.#command(line);
      }
    }
    if (!this.#busy) this.#flush();
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    switch (verb) {
      case 'EHLO':
        this.#at('helo', line, ['250-sink.example.test', ...this.#extensionLines()].join('\r\n'));
        break;
      case 'HELO':
        this.#at('helo', line, '250 sink.example.test');
        break;
      case 'AUTH':
        this.#at('auth', line, '235 2.7.0 Ok');
        break;
      case 'MAIL':
        this.#endTransaction();
        this.#at('mail', line, '250 2.1.0 Ok', () => (this.#hasSender = true));
        break;
      case 'RCPT':
        if (!this.#hasSender) this.#output += OUT_OF_ORDER;
        else
          this.#at('rcpt', line, '250 2.1.5 Ok', () => {
            this.#recipient = /<([^>]*)>/.exec(line)?.[1] ?? '';
          });
        break;
      case 'DATA':
        if (this.#recipient === '') {
          this.#output += OUT_OF_ORDER;
          break;
        }
        this.#at('data', line, '354 End data with <CR><LF>.<CR><LF>', () => {
          this.#mode = 'mail';
          this.#header = [];
          this.#headerBytes = 0;
          this.#tail = CRLF;
          this.#bodyBegun = false;
        });
        break;
      case 'RSET':
        this.#endTransaction();
        this.#output += '250 2.0.0 Ok\r\n';
        break;
      case 'NOOP':
        this.#output += '250 2.0.0 Ok\r\n';
        break;
      case 'QUIT':
        this.#output += '221 2.0.0 Bye\r\n';
        this.#flush();
        this.socket.end();
        this.#ended = true;
        break;
      default:
        this.#output += '502 5.5.2 Command not recognised\r\n';
    }
  }

  #endTransaction(): void {
    this.#hasSender = false;
    this.#recipient = '';
  }

  #extensionLines(): string[] {
    return this.sink.extensions.map(
      (name, i) => `250${i === this.sink.extensions.length - 1 ? ' ' : '-'}${name}`,
    );
  }

  /** True when the mail is complete. */
  #takeBody(): boolean {
    if (!this.#bodyBegun) {
      this.#bodyBegun = true;
      const fault = this.sink.faultAt('body');
      if (this.sink.onStage !== null || fault !== null) {
        this.#hold('body', '', () => {
          if (fault !== null) this.#misbehave('body', fault, { reply: '', done: () => undefined });
        });
        return false;
      }
    }
    const chunk = this.#input;
    // An end that lies across two packets begins in the tail; one that does not is found in the packet itself.
    const seam = Buffer.concat([this.#tail, chunk.subarray(0, END_OF_MAIL.length - 1)]);
    const atSeam = seam.indexOf(END_OF_MAIL);
    const end = atSeam >= 0 ? atSeam + END_OF_MAIL.length - this.#tail.length : endWithin(chunk);
    this.#keepHeader(end < 0 ? chunk : chunk.subarray(0, end));
    if (end < 0) {
      this.#tail = Buffer.concat([this.#tail, chunk.subarray(-4)]).subarray(-4);
      this.#input = Buffer.alloc(0);
      return false;
    }
    this.#input = this.sink.dropsBehindDot ? Buffer.alloc(0) : chunk.subarray(end);
    this.#mode = 'command';
    const mail = Buffer.concat(this.#header).toString('latin1');
    const id = messageIdIn(mail);
    if (this.sink.keepLast) this.sink.last = mail.slice(0, -3);
    const recipient = this.#recipient;
    const subject = this.sink.subjects === null ? '' : (/^subject: (.*)\r$/im.exec(mail)?.[1] ?? '');
    this.#endTransaction();
    this.#at('dot', id, '250 2.0.0 Ok: queued', () => this.sink.take(id, recipient, subject));
    return true;
  }

  #keepHeader(chunk: Buffer): void {
    if (this.sink.keepLast) this.#header.push(chunk);
    else if (this.#headerBytes < HEADER_BYTES)
      this.#header.push(chunk.subarray(0, HEADER_BYTES - this.#headerBytes));
    this.#headerBytes += chunk.length;
  }

  /** `done` is what a good answer means: it has happened before the client can know of it. */
  #at(stage: SinkStage, text: string, reply: string, done: () => void = () => undefined): void {
    const fault = this.sink.faultAt(stage);
    if (fault === null && this.sink.onStage === null) {
      done();
      this.#output += `${reply}\r\n`;
      return;
    }
    // It has happened whatever becomes of the client while the hook runs.
    if (fault === null) done();
    this.#hold(stage, text, () => {
      if (fault === null) this.#output += `${reply}\r\n`;
      else this.#misbehave(stage, fault, { reply, done });
    });
  }

  /** Everything after this point waits for the hook. */
  #hold(stage: SinkStage, text: string, next: () => void): void {
    this.#busy = true;
    this.#flush();
    const facts = { stage, hit: this.sink.hits[stage], text };
    void Promise.resolve(this.sink.onStage?.(facts)).then(() => {
      this.#busy = false;
      if (this.#ended) return;
      next();
      this.#work();
    });
  }

  #misbehave(stage: SinkStage, fault: SinkFault, { reply, done }: { reply: string; done: () => void }): void {
    const leavesUnclear = fault.kind !== 'reply' && (stage === 'body' || stage === 'dot');
    // One that waits long enough gets its answer.
    if (leavesUnclear && fault.kind === 'late') this.#answerDue = true;
    else if (leavesUnclear) this.sink.unclear++;
    switch (fault.kind) {
      case 'reply':
        this.sink.refused++;
        this.#output += `${fault.code} ${fault.text ?? 'as the test says'}\r\n`;
        if (fault.code === 421) this.#leave(() => this.socket.end());
        return;
      case 'drop':
        done();
        return this.#leave(() => this.socket.destroy());
      case 'reset':
        done();
        return this.#leave(() => {
          this.socket.resetAndDestroy();
          this.socket.destroy();
        });
      case 'stall':
        done();
        this.#busy = true;
        return;
      case 'partial':
        done();
        this.#output += reply.slice(0, 2);
        return this.#leave(() => this.socket.end());
      case 'noise':
        done();
        return this.#later(0, [noisy(reply, fault.bytes)]);
      case 'late':
        done();
        return this.#later(fault.ms, [Buffer.from(`${reply}\r\n`)]);
      case 'trickle':
        done();
        return this.#later(
          fault.ms,
          [...Buffer.from(`${reply}${fault.more ?? ''}\r\n`)].map((octet) => Buffer.from([octet])),
        );
    }
  }

  /** Writes the pieces, `ms` before each, and reads on afterwards. */
  #later(ms: number, pieces: Buffer[]): void {
    this.#busy = true;
    this.#flush();
    const write = (): void => {
      const piece = pieces.shift();
      if (piece === undefined || this.#ended) {
        this.#answerDue &&= this.#ended;
        this.#busy = false;
        this.#work();
        return;
      }
      setTimeout(() => {
        if (!this.#ended) this.socket.write(piece);
        write();
      }, ms);
    };
    write();
  }

  #leave(how: () => void): void {
    this.#flush();
    this.#ended = true;
    how();
  }

  #flush(): void {
    if (this.#output === '' || this.#ended) return;
    this.socket.write(this.#output, 'latin1');
    this.#output = '';
  }
}

function endWithin(chunk: Buffer): number {
  const at = chunk.indexOf(END_OF_MAIL);
  return at < 0 ? -1 : at + END_OF_MAIL.length;
}

function messageIdIn(mail: string): string {
  return /^message-id:\s*(<[^>]*>)/im.exec(mail)?.[1] ?? '(none)';
}

function noisy(reply: string, bytes: number): Buffer {
  const noise = Buffer.alloc(bytes, 'caf\xe9 \xff\xfe ', 'latin1');
  return Buffer.concat([Buffer.from(`${reply.slice(0, 3)} `), noise, CRLF]);
}
