import { describe, expect, it } from 'vitest';
import {
  alternativeBody,
  wholeMail,
  type MailBody,
} from '../../../../src/delivery/mails/mail-bytes.transport.js';
import { Octets } from '../../../../src/delivery/mails/octets.js';

const bodyOf = (text: string, html: string): MailBody =>
  alternativeBody('=_b', {
    text: (octets) => octets.putQuotedPrintable(text),
    html: (octets) => octets.putQuotedPrintable(html),
  });

describe('the bytes of a mail', () => {
  it('have the plain text first, and no part’s soft break reaches into the boundary', () => {
    const head = (type: string): string =>
      `--=_b\r\nContent-Type: text/${type}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n`;
    expect(bodyOf('one', 'two\n').octets.toString('latin1')).toBe(
      `${head('plain')}one=\r\n\r\n\r\n${head('html')}two\r\n\r\n--=_b--\r\n`,
    );
  });

  it.each([10, 4_096, 4_097, 90_000])(
    'begin with a head of %d octets, in front of the whole body',
    (size) => {
      const body = bodyOf('text', 'x'.repeat(200_000));
      const [head, behind] = [`ü${'h'.repeat(size - 2)}`, body.octets.toString('latin1')];
      const raw = wholeMail(head, body);
      expect(raw.subarray(0, size).toString('utf8')).toBe(head);
      expect(raw.subarray(size).toString('latin1')).toBe(behind);
    },
  );

  it('are of no other mail that is put together before this one has gone', () => {
    const first = bodyOf('first', 'first');
    const before = first.octets.toString('latin1');
    bodyOf('second', 'x'.repeat(300_000));
    expect(first.octets.toString('latin1')).toBe(before);
  });

  it('grow with what is written and stay in order', () => {
    const octets = new Octets();
    const piece = Buffer.alloc(50_000, 'a');
    octets.put(piece);
    const from = octets.length;
    octets.put(piece);
    octets.putLatin1('end');
    expect(octets.since(from).toString('latin1')).toBe(`${'a'.repeat(50_000)}end`);
    expect(octets.copied(3).length).toBe(100_006);
    octets.clear();
    expect([octets.length, octets.endsSoftly]).toEqual([0, false]);
  });
});
