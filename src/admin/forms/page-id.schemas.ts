import { idSchema } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';

/** The id in the address of a page. Throws `BROADCAST_NOT_FOUND` and the like for one that the database cannot have. */
export function checkedId(
  id: string,
  of:
    | 'affiliate'
    | 'broadcast'
    | 'experiment'
    | 'field'
    | 'import'
    | 'list'
    | 'mail'
    | 'membership'
    | 'order'
    | 'payout'
    | 'segment'
    | 'subscriber'
    | 'tag',
): string {
  if (idSchema.safeParse(id).success) return id;
  throw new DomainError(`${of.toUpperCase()}_NOT_FOUND`, `There is no such ${of}`);
}
