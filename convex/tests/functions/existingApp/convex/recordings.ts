/** An app as it was before: it asks its speech service for every recording that waits. */
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { httpAction, internalMutation, internalQuery, mutation } from "./_generated/server";

export const add = mutation({
  args: { file: v.string(), speechId: v.string() },
  returns: v.id("recordings"),
  handler: (ctx, fields) => ctx.db.insert("recordings", { ...fields, state: "waiting" }),
});

export const idsOfWaiting = internalQuery({
  args: {},
  returns: v.array(v.string()),
  handler: async (ctx) => {
    const rows = await ctx.db
      .query("recordings")
      .withIndex("by_state", (q) => q.eq("state", "waiting"))
      .take(100);
    return rows.map(({ speechId }) => speechId);
  },
});

export const poll = internalMutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    const row = await ctx.db
      .query("recordings")
      .withIndex("by_state", (q) => q.eq("state", "waiting"))
      .first();
    if (row !== null) await ctx.db.patch("recordings", row._id, { state: "done", text: "Hello." });
    return null;
  },
});

export const waiting = httpAction(async (ctx) =>
  Response.json(await ctx.runQuery(internal.recordings.idsOfWaiting, {})),
);
