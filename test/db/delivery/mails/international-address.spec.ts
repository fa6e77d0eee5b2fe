import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from '../post-office.js';

let t: PostOffice;
beforeAll(async () => {
  t = await openPostOffice({
    BASE_URL: ' https://müller.example/geschäft/ ',
    BOUNCE_DOMAIN: 'zurück.müller.example',
    CFBL_ADDRESS: 'fbl@müller.example',
  });
});
afterAll(async () => t.close());

it('an address of ours in another script put raw octets into List-Unsubscribe', async () => {
  await t.plan('reader@example.org');
  await t.sendDue();
  const raw = t.sink.mails[0]?.raw ?? '';
  // oxlint-disable-next-line no-control-regex
  expect(raw).toMatch(/^[\u0000-\u007f]+$/);
  expect(raw).toMatch(
    /\r\nList-Unsubscribe: <https:\/\/xn--mller-kva\.example\/gesch%C3%A4ft\/u\/[\w-]+>, <mailto:u\+[a-z2-7]+@xn--zurck-mva\.xn--mller-kva\.example\?subject=unsubscribe>\r\n/,
  );
  expect(raw).toContain('\r\nCFBL-Address: fbl@xn--mller-kva.example; report=arf\r\n');
});
