import type { Remark } from './finding.js';

const SOON_MS = 14 * 86_400_000;

/** What mailauth finds wrong with a picture or a certificate, in words for the owner. */
const WORDS: Readonly<Record<string, string>> = {
  INVALID_XML_FILE: 'is no XML',
  INVALID_SVG_FILE: 'is no SVG',
  INVALID_BASE_PROFILE: 'is no SVG Tiny PS: give its <svg> baseProfile="tiny-ps"',
  LOGO_MISSING_TITLE: 'has no <title>, which SVG Tiny PS wants',
  LOGO_INVALID_ROOT_ATTRS: 'has x= or y= at its <svg>, which SVG Tiny PS forbids',
  LOGO_INCLUDES_REFERENCE: 'refers to another file, which SVG Tiny PS forbids',
  LOGO_INVALID_ELEMENT: 'holds a script or an animation, which SVG Tiny PS forbids',
  INVALID_CERT_BUNDLE: 'holds no certificate in PEM',
  INVALID_CHAIN: 'does not hold the chain of its certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'is of nobody who may vouch for logos',
  CERTIFICATE_VERIFICATION_ERROR: 'has run out, is not valid yet, or is signed by no authority',
  BIMI_EXT_KEY_MISSING: 'is a certificate for something else than logos',
  INVALID_LOGOTYPE_EXT: 'holds no logo',
  MISSING_VMC_LOGO: 'holds no logo',
  INVALID_MEDIATYPE: 'holds a logo that is no SVG',
  INVALID_LOGO_HASH: 'holds a logo that its own sum does not match',
  SVG_VALIDATION_FAILED: 'holds a logo that is no SVG Tiny PS',
  VMC_DOMAIN_MISMATCH: 'is for another domain',
};

/** A picture that BIMI takes is an SVG Tiny PS (draft-svg-tiny-ps-abrotman). */
export async function logoRemarks({
  bytes,
  contentType,
}: {
  bytes: Buffer;
  contentType: string;
}): Promise<Remark[]> {
  const remarks: Remark[] = [];
  const { validateBimiSvg } = await import('mailauth');
  try {
    validateBimiSvg(bytes);
    if (!/<svg\b[^>]{0,2000}\bversion\s*=\s*["']1\.2["']/i.test(bytes.toString('utf8')))
      remarks.push({ level: 'warn', text: 'the logo lacks version="1.2", which SVG Tiny PS wants' });
  } catch (error) {
    remarks.push({ level: 'warn', text: `the logo ${wordsFor(error)}` });
  }
  if (!/^image\/svg\+xml\b/i.test(contentType))
    remarks.push({
      level: 'warn',
      text: `the logo is served as ${contentType || 'nothing'}, not as image/svg+xml`,
    });
  return remarks;
}

interface MarkCertificate {
  /** As it was found, in PEM. */
  certificate: Buffer;
  /** The picture at `l=`; null when it could not be had. */
  logo: Buffer | null;
  /** Where the BIMI record stands. */
  domain: string;
  now: Date;
}

/** VMC and CMC alike: who vouches for it, until when, for whom, and whether its picture is the one that is published. */
export async function certificateRemarks(
  { certificate, logo, domain, now }: MarkCertificate,
  /** Who may vouch; those of BIMI when left out. */
  trust: { rootStore?: unknown } = {},
): Promise<Remark[]> {
  const { validateBimiVmc } = await import('mailauth');
  const judged = await validateBimiVmc(
    {
      status: { result: 'pass', header: { selector: 'default', d: domain } },
      info: '',
      authorityPath: certificate,
      ...(logo === null ? {} : { locationPath: logo }),
    },
    { now, ...trust },
  );
  if (judged === false) return [];
  const { authority } = judged;
  if (!authority?.success)
    return [{ level: 'warn', text: `the certificate of the logo ${wordsFor(authority?.error)}` }];
  const remarks: Remark[] = [];
  if (authority.hashMatch === false)
    remarks.push({ level: 'warn', text: 'the logo is another one than that in its certificate' });
  const { certificate: held } = (authority.vmc ?? {}) as { certificate?: { validTo?: string } };
  const leftMs = Date.parse(held?.validTo ?? '') - now.getTime();
  if (leftMs < SOON_MS)
    remarks.push({
      level: 'warn',
      text: `the certificate of the logo ends in ${Math.floor(leftMs / 86_400_000)} days`,
    });
  return remarks;
}

function wordsFor(error: unknown): string {
  const { code = '', message = 'cannot be read' } = (error ?? {}) as { code?: string; message?: string };
  return WORDS[code] ?? `is not right: ${message}`;
}
