import { httpRouter } from "convex/server";
import { waiting } from "./recordings";

const http = httpRouter();
http.route({ path: "/recordings/waiting", method: "GET", handler: waiting });

export default http;
