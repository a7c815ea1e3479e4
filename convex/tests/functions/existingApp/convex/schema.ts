import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  recordings: defineTable({
    file: v.string(),
    speechId: v.string(),
    state: v.union(v.literal("waiting"), v.literal("done")),
    text: v.optional(v.string()),
  }).index("by_state", ["state"]),
});
