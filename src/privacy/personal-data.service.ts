import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { formerAddresses } from '../subscribers/address-changes.queries.js';
import { addressHash } from '../subscribers/address-hash.js';
import type { Subscriber, Suppression } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { SuppressionsService } from '../subscribers/suppressions.service.js';
import type { Topic } from '../subscribers/topic.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { receiptKey, signReceipt, type ReceiptPublicKey } from './consent-receipt.js';
import {
  consentsOf,
  personalParts,
  type ConsentRecord,
  type PersonalParts,
} from './personal-data.queries.js';
import { notFound } from '../values/not-found.js';

export interface PersonalData extends PersonalParts {
  exportedAt: Date;
  controller: { baseUrl: string };
  profile: Omit<Subscriber, 'tags' | 'emailKey'>;
  tags: string[];
  topics: Topic[];
  consents: ConsentRecord[];
  suppressions: Suppression[];
  /** The consents once more, signed: `jws` can be shown to anybody and checked without asking us. */
  consentReceipt: { jws: string; publicKey: ReceiptPublicKey; publishedAt: string };
}

/** Everything kept about one person, as they may ask for it (GDPR, articles 15 and 20). */
@Injectable()
export class PersonalDataService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly suppressions: SuppressionsService,
    private readonly topics: TopicsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** One moment of everything, whatever changes meanwhile. Throws `SUBSCRIBER_NOT_FOUND`. */
  async of(subscriberId: string): Promise<PersonalData> {
    return this.dataSource.transaction('REPEATABLE READ', async (manager) => {
      const subscriber = await this.subscribers.find(subscriberId, manager);
      if (subscriber === null) throw notFound('subscriber', subscriberId);
      const { tags, emailKey, ...profile } = subscriber;
      const former = await formerAddresses(manager, subscriberId);
      const addressHashes = [{ emailKey }, ...former].map((one) =>
        addressHash(this.config.secretKey, one.emailKey),
      );
      const consents = await consentsOf(manager, subscriberId);
      return {
        exportedAt: this.clock.now(),
        controller: { baseUrl: this.config.baseUrl },
        profile,
        tags,
        topics: await this.topics.of(subscriberId, manager),
        consents,
        suppressions: await this.suppressions.of(emailKey, manager),
        ...(await personalParts(manager, { subscriberId, addressHashes })),
        consentReceipt: this.receipt(subscriber, consents),
      };
    });
  }

  private receipt(subscriber: Subscriber, consents: ConsentRecord[]): PersonalData['consentReceipt'] {
    const key = receiptKey(this.config.secretKey);
    const content = {
      iss: this.config.baseUrl,
      iat: Math.floor(this.clock.now().getTime() / 1000),
      sub: subscriber.email,
      status: subscriber.status,
      trackingConsent: subscriber.trackingConsent,
      consents,
    };
    return {
      jws: signReceipt(key, content),
      publicKey: key.publicKey,
      publishedAt: `${this.config.baseUrl}/.well-known/jwks.json`,
    };
  }
}
