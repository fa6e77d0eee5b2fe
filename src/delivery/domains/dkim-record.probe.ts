import { createPublicKey } from 'node:crypto';
import { dkimRecord, dkimRecordName, type DkimKey } from '../signing/dkim.js';
import { askTxt } from './dns.probe.js';
import type { DnsResolver } from '../../infra/dns.js';
import { finding, unaskedRemark, type Finding, type Remark } from './finding.js';
import { parseTagList } from './tag-list.js';

const USUAL_RSA_BITS = 2048;

/** D2: what the DNS says at the selector is the public half of the key that signs. */
export async function checkDkim(
  dns: DnsResolver,
  domain: string,
  keys: readonly DkimKey[],
): Promise<Finding> {
  if (keys.length === 0) {
    const text = `mail leaves without a signature of ours; make a key with "wellspring dkim create ${domain}", unless your relay signs for ${domain}`;
    return finding('D2', 'DKIM', '', [{ level: 'warn', text }]);
  }
  const remarks: { key: DkimKey; level: Remark['level']; text: string }[] = [];
  for (const key of keys) {
    const name = dkimRecordName(key);
    const answer = await askTxt(dns, name);
    if (answer.kind === 'unasked') {
      remarks.push({ key, ...unaskedRemark(name, answer.reason) });
      continue;
    }
    remarks.push(
      ...recordRemarks(key, answer.records).map(({ level, text }) => ({
        key,
        level,
        text: `${name} ${text}`,
      })),
    );
  }
  // One signature that passes is enough, and RSA's is the one that every receiver can check. One that nobody answered for may.
  const rsaMayPass = keys.some(
    (key) => isRsa(key) && !remarks.some((remark) => remark.key === key && remark.level === 'fail'),
  );
  const said = remarks.map(({ key, level, text }): Remark => {
    const isSpare = rsaMayPass && !isRsa(key) && level === 'fail';
    return { level: isSpare ? 'warn' : level, text };
  });
  return finding('D2', 'DKIM', keys.map((key) => `${dkimRecordName(key)} matches`).join(', '), said);
}

function isRsa({ privateKey }: DkimKey): boolean {
  return privateKey.asymmetricKeyType === 'rsa';
}

/** What is wrong with the records found for a key; [] when a receiver can check its signatures. */
function recordRemarks({ privateKey }: DkimKey, records: readonly string[]): Remark[] {
  const expected = dkimRecord(createPublicKey(privateKey));
  const [record] = records;
  if (record === undefined) return [{ level: 'fail', text: `does not exist; publish "${expected}"` }];
  if (records.length > 1) return [{ level: 'fail', text: `has ${records.length} records; keep one` }];
  const tags = parseTagList(record);
  const [ours, theirs] = [parseTagList(expected), tags];
  if (!theirs || !ours) return [{ level: 'fail', text: 'is not readable as a DKIM record' }];
  const value = theirs.get('p')?.replace(/\s+/g, '');
  if ((theirs.get('v') ?? 'DKIM1') !== 'DKIM1')
    return [{ level: 'fail', text: 'is of another version than DKIM1' }];
  if (value === '') return [{ level: 'fail', text: 'says that the key is revoked (p= is empty)' }];
  if (value !== ours.get('p') || (theirs.get('k') ?? 'rsa') !== ours.get('k'))
    return [{ level: 'fail', text: `holds another key than the one that signs; publish "${expected}"` }];
  const remarks: Remark[] = [];
  const lists = (tag: string, wanted: string): boolean => {
    const list = theirs
      .get(tag)
      ?.split(':')
      .map((one) => one.trim().toLowerCase());
    return list === undefined || list.includes(wanted) || list.includes('*');
  };
  if (!lists('h', 'sha256')) remarks.push({ level: 'fail', text: 'allows no sha256 (h=)' });
  if (!lists('s', 'email')) remarks.push({ level: 'fail', text: 'is not for email (s=)' });
  if (theirs.get('t')?.split(':').includes('y'))
    remarks.push({ level: 'warn', text: 'says that signing is only tested (t=y), so receivers ignore it' });
  const bits = privateKey.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < USUAL_RSA_BITS)
    remarks.push({ level: 'warn', text: `is a key of ${bits} bits; ${USUAL_RSA_BITS} is usual` });
  return remarks;
}
