export interface Owner {
  id: string;
  email: string;
  signedInAt: Date;
}

/** A browser that was left open, or a cookie that was stolen, is older as a rule. */
const JUST_MS = 3_600_000;

// Beside the request rather than on it: nothing a plugin or a body sets can claim to be the owner.
const owners = new WeakMap<object, Owner>();

export function rememberOwner(request: object, owner: Owner): void {
  owners.set(request, owner);
}

/** `undefined` on pages that are shown to nobody in particular: sign-in, and the mailbox on the owner's own machine. */
export function ownerOf(request: object): Owner | undefined {
  return owners.get(request);
}

/** Whether the password was typed within the hour, by a clock that was not ahead then: asked of who takes everybody's data along. */
export function hasJustSignedIn(request: object, now: Date): boolean {
  const signedInAt = ownerOf(request)?.signedInAt;
  return signedInAt !== undefined && Math.abs(now.getTime() - signedInAt.getTime()) <= JUST_MS;
}
