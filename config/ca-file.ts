import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a file in PEM, as text for TLS; or what is wrong with it, in words that name it. */
export function readCaFile(path: string): { pem: string } | { problem: string } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return {
      problem: `ca: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
    };
  }
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0)
    return { problem: `ca: ${path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)` };
  try {
    for (const one of certificates) void new X509Certificate(one);
  } catch {
    return { problem: `ca: ${path} holds a certificate that is broken` };
  }
  return { pem: certificates.join('\n') };
}
