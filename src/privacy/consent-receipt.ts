import { createHash, createPrivateKey, createPublicKey, hkdfSync, sign, type KeyObject } from 'node:crypto';

/** A public key as RFC 8037 writes it, with the thumbprint of RFC 7638 as its name. */
export interface ReceiptPublicKey {
  kty: 'OKP';
  crv: 'Ed25519';
  x: string;
  kid: string;
  use: 'sig';
  alg: 'EdDSA';
}

interface ReceiptKey {
  privateKey: KeyObject;
  publicKey: ReceiptPublicKey;
}

/** PKCS #8 in front of the 32 bytes of an Ed25519 key (RFC 8410 §7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * The key that signs consent receipts, made from the secret: every process has the same one, and a backup of the secret
 * is a backup of it. An HMAC would not do: whoever can check one can also make one.
 */
export function receiptKey(secret: Buffer): ReceiptKey {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', 'wellspring consent receipt', 32));
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const x = createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '';
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url');
  return { privateKey, publicKey: { kty: 'OKP', crv: 'Ed25519', x, kid, use: 'sig', alg: 'EdDSA' } };
}

/** A compact JWS (RFC 7515 §7.1) over the content: any JOSE library checks it with the published key, offline. */
export function signReceipt({ privateKey, publicKey }: ReceiptKey, content: object): string {
  const header = { alg: 'EdDSA', typ: 'consent-receipt+jws', kid: publicKey.kid };
  const signed = [header, content]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`;
}
