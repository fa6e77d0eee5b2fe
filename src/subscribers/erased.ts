/** Stands in mails and orders for the address of somebody who was erased; no address parses to it. */
export const ERASED = 'erased';
