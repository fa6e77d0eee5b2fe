import { afterEach, describe, expect, it } from 'vitest';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

/** The reports are signed by `example.org`. */
describe('a signed complaint about a mail to', () => {
  let office: BounceOffice;
  afterEach(async () => office.close());

  const suppressedAfterComplaint = async (email: string, reporters = ''): Promise<string[]> => {
    office = await openBounceOffice({ COMPLAINT_REPORTERS: reporters });
    await office.complains(await office.sent(email));
    return office.suppressed(email);
  };

  it('another domain does no more than the unsubscribe link', async () => {
    expect(await suppressedAfterComplaint('bob@elsewhere.example')).toEqual(['marketing unsubscribed']);
  });

  it('another domain counts when the owner has named its reporter', async () => {
    const email = 'bob@elsewhere.example';
    expect(await suppressedAfterComplaint(email, 'other.example, Example.ORG')).toEqual(['all complaint']);
  });

  it('a domain whose mailboxes the reporter hosts counts: its readers could complain about nothing', async () => {
    expect(await suppressedAfterComplaint('bob@hosted.example')).toEqual(['all complaint']);
  });
});
