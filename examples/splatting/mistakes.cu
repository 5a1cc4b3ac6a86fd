// Three backwards of splatting.cu with a mistake of a kind that was really shipped; each is refuted, with its line.

// The entry beside the diagonal stands for two entries of the matrix, and is taken once.
__device__ void conic_once(float a, float b, float c, glm::vec3 dL_dresult, float& dL_da, float& dL_db, float& dL_dc) {
    float inv = 1.f / (a * c - b * b), inv2 = inv * inv;
    dL_da = inv2 * (-c * c * dL_dresult.x + b * c * dL_dresult.y - b * b * dL_dresult.z);
    dL_db = inv2 * (b * c * dL_dresult.x - (a * c + b * b) * dL_dresult.y + a * b * dL_dresult.z);
    dL_dc = inv2 * (-b * b * dL_dresult.x + a * b * dL_dresult.y - a * a * dL_dresult.z);
}

// Where the clamp holds, the gradient is passed on as if it did not.
__device__ glm::vec3 near_image_unclamped(glm::vec3 t, float tan_x, float tan_y, glm::vec3 dL_dresult) {
    return dL_dresult;
}

// The direction is normalised in the forward, and its normalisation is not differentiated.
__device__ void colour_unnormalised(glm::vec3 dir, const float* sh, float dL_dresult, glm::vec3& dL_ddir, float* dL_dsh) {
    glm::vec3 d = dir * rsqrtf(glm::dot(dir, dir));
    dL_dsh[0] = 0.28209479177387814f * dL_dresult;
    dL_dsh[1] = -0.4886025119029199f * d.y * dL_dresult;
    dL_dsh[2] = 0.4886025119029199f * d.z * dL_dresult;
    dL_dsh[3] = -0.4886025119029199f * d.x * dL_dresult;
    dL_ddir = 0.4886025119029199f * dL_dresult * glm::vec3(-sh[3], -sh[1], sh[2]);
}
