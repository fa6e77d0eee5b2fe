import type { CertificateSeen } from './certificate.js';

/** What a mail server says to RCPT for one address; null: it was not to be asked. */
export interface MailboxReply {
  address: string;
  reply: { code: number; text: string } | null;
}

/** `reason` of `unread`: for the owner, why there is nothing to look at. */
export type FileSeen =
  | { kind: 'read'; bytes: Buffer; contentType: string }
  | { kind: 'gone'; reason: string }
  | { kind: 'unread'; reason: string };

/** What the checks look at beyond the DNS. Nothing here throws or takes longer than some seconds. */
export interface RemoteHosts {
  /** The certificate of a host, as a browser sees it. */
  certificate(url: URL): Promise<CertificateSeen>;
  /** Asks the mail server at `host` whether it takes mail for these addresses, without sending any. */
  mailboxes(host: string, addresses: readonly string[]): Promise<MailboxReply[]>;
  /** A file of at most so many bytes. */
  file(url: string, maxBytes: number): Promise<FileSeen>;
}
