/** SQLSTATE classes 22 and 23, data exception and constraint violation: trying again would change nothing. */
export function isRefusedData(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^2[23]/.test(String(error.code));
}

/** A foreign key: the row that was found is not there any more when the other is written. The next look knows. */
export function isDeletedMeanwhile(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23503';
}
