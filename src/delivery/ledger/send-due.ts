/** The job that sends. Whoever makes a mail due wakes it by this name, in the same transaction. */
export const SEND_DUE = 'delivery.send-due';
